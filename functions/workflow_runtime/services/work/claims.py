"""In the worker: claiming a run, so that nobody else begins it."""

from __future__ import annotations

from collections.abc import Callable

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import ErrorDocument, RetryableError
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.freeze.scopes import scopes_of_run
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.attempt import LEASE_SECONDS
from workflow_runtime.services.work.deciding import order_to_keep
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.stores import Stores


class Claims:
    """``looks`` know how long runs were frozen."""

    def __init__(self, ports: Ports, stores: Stores, looks: Looks, new_id: Callable[[], str]) -> None:
        self._ports = ports
        self._executions = stores.executions
        self._runs = stores.runs
        self._looks = looks
        self._new_id = new_id

    async def of(self, order: Order, plan: Plan) -> Run:
        """The run as ours; one that has waited too long has failed, unrun."""
        now = self._ports.clock.now()
        command = order.command
        if command.claim_by and now > await self._ports.offload(self.until, order, plan, now):
            return self.throttled(order, plan, "no worker began the attempt within `max_wait`")
        return Run(
            path=order.command.path,
            serial=order.command.serial,
            status=RunStatus.RUNNING,
            owner=self.new_owner(),
            attempt=order.command.attempt,
            started_at=now,
            lease_until=now + LEASE_SECONDS * 1000,
        )

    def throttled(self, order: Order, plan: Plan, why: str) -> Run:
        """The run as one that failed before it began."""
        command, now = order.command, self._ports.clock.now()
        error = ErrorDocument.of("throttled", why, command.path)
        kept = order_to_keep(plan, command)
        return Run.failed(
            command.path, command.serial, self.new_owner(), now, error, attempt=command.attempt, order=kept
        )

    def new_owner(self) -> str:
        return f"{self._ports.boot}/{self._new_id()}"

    def until(self, order: Order, plan: Plan, now: int) -> int:
        """Until when (epoch ms) an attempt that may wait a while only can be begun, time in which it was frozen or its
        execution suspended left out. Where both were, it counts twice: rather a late attempt than one that others keep
        from beginning and that fails for it. Raises `RetryableError`."""
        command = order.command
        if now <= command.claim_by:
            return command.claim_by
        header = self._executions.header(order.execution_id)
        if header is not None and header.status is ExecutionStatus.SUSPENDED:
            return now
        suspended = header.suspended_ms - command.suspended_ms if header is not None else 0
        node = node_of(plan, command.path)
        ordered = command.claim_by - round((node.max_wait_seconds or 0) * 1000) if node is not None else command.at
        frozen = self._looks.frozen_ms(scopes_of_run(plan, command.path), ordered, now)
        return command.claim_by + suspended + frozen

    def take(self, execution_id: str, claimed: Run, waited_as: str) -> Run | None:
        """Claim the run. Returns the holder; None when it is ours, also if the answer to our own claim was lost: so it
        may be tried again. ``waited_as``: whose it is, if it has waited for a limiter. Raises `RetryableError`."""
        if waited_as and self._runs.finish(execution_id, claimed, waited_as):
            return None
        if self._runs.claim(execution_id, claimed):
            return None
        existing = self._runs.get(execution_id, claimed.path, claimed.serial)
        if existing is None:
            raise RetryableError("a claim was refused and is not there")
        if existing.owner == claimed.owner:
            return None
        if not existing.status.unclaimed:
            return existing
        if not self._runs.finish(execution_id, claimed, existing.owner):
            raise RetryableError("another worker took a released run")
        return None
