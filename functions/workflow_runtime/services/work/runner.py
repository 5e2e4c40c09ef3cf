"""The node runner: claim, read, run, record, report, acknowledge; one attempt of one node per order.

A run belongs to the worker that wrote its claim. A repeat of a finished run reports its result again; a repeat of one
under a valid lease steps back until the lease ends; an expired lease is never run again but reported as
``worker_lost``, and only the engine grants another attempt, under another serial. So effects per serial are at most
one (promises P2, P3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from workflow_runtime.deployment.log_fields import log_fields
from workflow_runtime.deployment.metrics import AttemptEnded, Metric
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import ErrorDocument, InvalidEvent, RetryableError
from workflow_runtime.invokers.containment import Outcome
from workflow_runtime.invokers.invocation import Invoker, NodeResult
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.express import CannotWait
from workflow_runtime.services.freeze.holding import Holder
from workflow_runtime.services.freeze.looks import Looks, first_of
from workflow_runtime.services.freeze.scopes import scopes_of_run
from workflow_runtime.services.limits.admission import NOTHING_TAKEN, Admission, Admitted, Use, limiters_of_call
from workflow_runtime.services.limits.gates import Gates
from workflow_runtime.services.messages import Order, mail_message
from workflow_runtime.services.patience import patiently
from workflow_runtime.services.work.attempt import (
    LEASE_SECONDS,
    AttemptRunner,
    Secrets,
    Suspended,
    error_of,
)
from workflow_runtime.services.work.callbacks import AttemptToken
from workflow_runtime.services.work.deciding import node_of, order_to_keep
from workflow_runtime.services.work.masked import aside
from workflow_runtime.services.work.reports import after_loss, result_event, target_of
from workflow_runtime.services.work.under_way import Attempt, ids_of
from workflow_runtime.storage.records import LateResult, Run, RunStatus
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.tasks import hash_of

logger = logging.getLogger(__name__)


class Postponed(Exception):
    """The order cannot be acknowledged yet; ``seconds``: when to look again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class NodeRunner:
    """``invokers`` run agents and tools; ``holder`` holds back what is frozen, as ``looks`` knows, and ``admission``
    what limiters do not let begin yet; ``gates`` stand before models; ``function_timeout_seconds`` is the Lambda's own;
    ``count`` takes metrics, and ``attempt_ended`` what each attempt was.
    """

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        invokers: Mapping[NodeType, Invoker],
        secrets: Secrets,
        holder: Holder,
        looks: Looks,
        new_id: Callable[[], str],
        function_timeout_seconds: int,
        count: Callable[[str, int], None],
        admission: Admission,
        gates: Gates,
        attempt_ended: Callable[[AttemptEnded], None],
    ) -> None:
        self._ports = ports
        self._workflows = stores.workflows
        self._runs = stores.runs
        self._stores = stores
        self._holder = holder
        self._looks = looks
        self._new_id = new_id
        self._count = count
        self._attempt_ended = attempt_ended
        self._invokers = invokers
        self._admission = admission
        self._attempts = AttemptRunner(ports, stores, invokers, secrets, function_timeout_seconds, admission, gates)
        self._notes: set[asyncio.Future[None]] = set()  # being written; a loop keeps no task alive

    async def run(self, order: Order) -> None:
        """Carry out one order. Raises `Postponed` when it must stay in the queue, `RetryableError`."""
        with self._ports.clock.working(), log_fields(**order.log_fields):
            plan = await self._ports.offload(self._plan, order.plan_hash)
            try:
                await self._run(order, plan)
            except CannotWait as reason:
                await self._begin(order, plan, self._throttled(order, plan, str(reason)))

    async def _run(self, order: Order, plan: Plan) -> None:
        if await self._is_held(order, plan):
            return
        claimed = await self._claim_of(order, plan)
        if order.is_reminder:
            await self._remind(order, plan, claimed)
            return
        uses = self._uses(order, plan)
        admitted = NOTHING_TAKEN
        if uses and claimed.error is None:
            waited_for = await self._ports.offload(
                partial(self._admission.admit, order, uses, may_wait=not plan.express)
            )
            if waited_for is None:
                return
            admitted = waited_for
            if not admitted.uses:
                await self._meet(order, plan, claimed, uses)
                return
        await self._begin(order, plan, claimed, uses, admitted)

    async def _meet(self, order: Order, plan: Plan, claimed: Run, uses: Sequence[Use]) -> None:
        """The run was found to be another worker's, or over, when it was to wait for a limiter. Whatever became of it
        since, it has taken nothing, and cannot be begun by this. Raises `RetryableError`."""
        existing = await patiently(self._ports, self._runs.get, order.execution_id, claimed.path, claimed.serial)
        if existing is None or existing.status.unclaimed:
            raise RetryableError("another worker gave the run up meanwhile")
        await self._met(order, plan, existing, claimed.owner, uses)

    async def _begin(
        self, order: Order, plan: Plan, claimed: Run, uses: Sequence[Use] = (), admitted: Admitted = NOTHING_TAKEN
    ) -> None:
        waited_as = self._admission.owner_in_line(order, uses) if order.granted else ""
        existing = await patiently(self._ports, self._claim, order.execution_id, claimed, waited_as)
        if existing is not None:
            await self._met(order, plan, existing, claimed.owner, uses)
        elif claimed.error is not None:
            await self._report(order, plan, claimed)
            self._tell_of_end(order, plan, claimed)
        else:
            await self._attempt(Attempt(order, plan, claimed, self._token(order), admitted=admitted))

    def _plan(self, plan_hash: str) -> Plan:
        try:
            return self._workflows.plan(plan_hash)
        except KeyError as error:
            raise RetryableError(str(error)) from error

    def _token(self, order: Order) -> AttemptToken:
        return AttemptToken(order.execution_id, order.command, self._stores, self._ports.clock.now)

    async def _is_held(self, order: Order, plan: Plan) -> bool:
        """Whether a freeze holds the order back. Raises `CannotWait`."""
        switches = self._looks.seen
        if switches is None:
            switches = await self._ports.offload(self._looks.read)
        if not switches:
            return False
        scopes = scopes_of_run(plan, order.command.path)
        if plan.express:
            switch = first_of(scopes, switches)
            if switch is None:
                return False
            raise CannotWait(f"{switch.scope} is frozen, and an express execution cannot wait until it is thawed")
        return await self._ports.offload(self._holder.holds_order, order, scopes)

    async def _claim_of(self, order: Order, plan: Plan) -> Run:
        """The run as ours; one that has waited too long has failed, unrun."""
        now = self._ports.clock.now()
        command = order.command
        if command.claim_by and now > await self._ports.offload(self._claimable_until, order, plan, now):
            return self._throttled(order, plan, "no worker began the attempt within `max_wait`")
        return Run(
            path=order.command.path,
            serial=order.command.serial,
            status=RunStatus.RUNNING,
            owner=self._new_owner(),
            attempt=order.command.attempt,
            started_at=now,
            lease_until=now + LEASE_SECONDS * 1000,
        )

    def _throttled(self, order: Order, plan: Plan, why: str) -> Run:
        """The run as one that failed before it began."""
        command, now = order.command, self._ports.clock.now()
        error = ErrorDocument.of("throttled", why, command.path)
        kept = order_to_keep(plan, command)
        return Run.failed(
            command.path, command.serial, self._new_owner(), now, error, attempt=command.attempt, order=kept
        )

    def _new_owner(self) -> str:
        return f"{self._ports.boot}/{self._new_id()}"

    def _claimable_until(self, order: Order, plan: Plan, now: int) -> int:
        """Until when (epoch ms) an attempt that may wait a while only can be begun, time in which it was frozen or its
        execution suspended left out. Where both were, it counts twice: rather a late attempt than one that others keep
        from beginning and that fails for it. Raises `RetryableError`."""
        command = order.command
        if now <= command.claim_by:
            return command.claim_by
        header = self._stores.executions.header(order.execution_id)
        if header is not None and header.status is ExecutionStatus.SUSPENDED:
            return now
        suspended = header.suspended_ms - command.suspended_ms if header is not None else 0
        node = node_of(plan, command.path)
        ordered = command.claim_by - round((node.max_wait_seconds or 0) * 1000) if node is not None else command.at
        frozen = self._looks.frozen_ms(scopes_of_run(plan, command.path), ordered, now)
        return command.claim_by + suspended + frozen

    def _claim(self, execution_id: str, claimed: Run, waited_as: str) -> Run | None:
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

    def _uses(self, order: Order, plan: Plan) -> tuple[Use, ...]:
        """The limiters that the order takes of."""
        node = node_of(plan, order.command.path)
        if node is None or not (node.limiters or self._looks.limiters):
            return ()
        return self._admission.uses(order, plan, node, tuple(limiters_of_call(node, self._invokers)))

    async def _remind(self, order: Order, plan: Plan, claimed: Run) -> None:
        """Fail an order that still waits for a limiter though its time is up."""
        waiting = await self._ports.offload(self._runs.get, order.execution_id, claimed.path, claimed.serial)
        if waiting is None or waiting.status is not RunStatus.WAITING:
            return
        if claimed.error is None:
            until = await self._ports.offload(self._claimable_until, order, plan, self._ports.clock.now())
            await self._ports.offload(self._admission.remind, order, until)
        elif await self._ports.offload(self._runs.finish, order.execution_id, claimed, waiting.owner):
            await self._ports.offload(self._admission.leave, waiting)
            await self._report(order, plan, claimed)
            self._tell_of_end(order, plan, claimed)

    async def _met(self, order: Order, plan: Plan, existing: Run, finder: str, uses: Sequence[Use]) -> None:
        """The run is claimed or ended already: report again, step back, or declare its worker lost.

        The lost run changes its owner: a worker that only seemed dead must find that the run is no longer its own.
        """
        if existing.status is RunStatus.CANCELLED:
            if uses:
                await self._ports.offload(self._admission.give_back_lost, order, uses)
            return
        if existing.status is RunStatus.RUNNING:
            now = self._ports.clock.now()
            if existing.lease_until > now and existing.owner.split("/")[0] == self._ports.boot:
                raise Postponed((existing.lease_until - now) // 1000 + 1)
            error = ErrorDocument.of("worker_lost", "the worker stopped without a result", order.command.path)
            lost = replace(
                existing,
                status=RunStatus.FAILED,
                owner=finder,
                ended_at=now,
                error=error,
                order=order_to_keep(plan, after_loss(order.command)),
                usage=await self._ports.offload(self._used_by_lost, order, plan),
            )
            if not await self._ports.offload(self._runs.finish, order.execution_id, lost, existing.owner):
                raise RetryableError("the run ended while its worker was declared lost")
            self._count(Metric.WORKERS_LOST, 1)
            existing = lost
        await self._report(order, plan, existing)
        if uses:
            await self._ports.offload(self._admission.give_back_lost, order, uses)

    def _used_by_lost(self, order: Order, plan: Plan) -> dict[str, Json] | None:
        """What the models of a run have used whose worker was lost, as far as it is recorded."""
        node, command = node_of(plan, order.command.path), order.command
        if node is None or node.type is not NodeType.AGENT:
            return None
        steps = self._stores.steps.told(order.execution_id, command.path)
        return total(step.used for _, step in steps if step.serial == command.serial)

    async def _attempt(self, attempt: Attempt) -> None:
        """Carry a claimed run out, then report its result."""
        comes_again = False
        try:
            await self._carry_out(attempt)
        except (RetryableError, InvalidEvent):
            comes_again = True  # soon, and finds the slots that it was granted
            raise
        finally:
            if attempt.admitted.uses and not comes_again:
                await self._ports.offload(self._admission.give_back, attempt.order, attempt.admitted)

    async def _carry_out(self, attempt: Attempt) -> None:
        order = attempt.order
        try:
            recorded, ended = await self._attempts.carry_out(attempt)
        except Suspended:
            logger.info("a node of a suspended execution is not begun", extra=ids_of(order))
            return  # its order is sent again when the execution is resumed
        if ended.status is RunStatus.FAILED and attempt.token.value:
            await self._close_token(attempt)
        attempt.late.listen(partial(self._came_late, attempt, ended))
        if not recorded:
            stored = await patiently(self._ports, self._runs.get, order.execution_id, ended.path, ended.serial)
            if stored is None:
                raise RetryableError("a claimed run is not there")
            if stored.owner != ended.owner:  # who gave it up may have died before reporting that
                logger.warning("a result came after its lease had ended", extra=ids_of(order))
                await self._note_late(order, ended)
                await self._met(order, attempt.plan, stored, f"{self._ports.boot}/{self._new_id()}", ())
                return
        if attempt.admitted.uses:
            await self._ports.offload(self._admission.heed, attempt.admitted, ended.error)
        if ended.status is not RunStatus.CANCELLED:
            await self._report(order, attempt.plan, ended)
        self._tell_of_end(order, attempt.plan, ended)
        if attempt.sessions is not None:
            await attempt.sessions.end(ended)
        if self._ports.traces is not None:
            await self._trace(attempt, ended)

    async def _trace(self, attempt: Attempt, ended: Run) -> None:
        from workflow_runtime.services.tracing.exporting import export_attempt  # few deployments have a collector

        order, steps = attempt.order, attempt.steps.made if attempt.steps is not None else ()
        await self._ports.offload(
            export_attempt, self._ports, attempt.plan, order.execution_id, ended, order.command.visit, steps
        )

    async def _close_token(self, attempt: Attempt) -> None:
        """The attempt has failed, and its task token counts no more."""
        own, now = hash_of(attempt.token.value), self._ports.clock.now()
        with suppress(RetryableError):  # the engine would refuse it, too
            await self._ports.offload(self._stores.tasks.close, own, "the attempt has failed", now)

    async def _note_late(self, order: Order, ended: Run) -> None:
        """Keep for people what a run came to that had ended for everybody else: its effects may have happened."""
        if ended.status is RunStatus.CANCELLED:
            return
        late = LateResult.of(ended)
        with suppress(RetryableError):  # nothing is decided by it
            await self._ports.offload(self._runs.note_late, order.execution_id, ended.path, ended.serial, late)

    def _came_late(self, attempt: Attempt, ended: Run, outcome: Outcome[NodeResult]) -> None:
        """The code of an attempt that is over, and was recorded as ``ended``, has come to its end, too."""
        run = replace(ended, status=RunStatus.SUCCESS, error=None, ended_at=self._ports.clock.now())
        note = asyncio.ensure_future(self._note_outcome(attempt, run, outcome))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def _note_outcome(self, attempt: Attempt, run: Run, outcome: Outcome[NodeResult]) -> None:
        if isinstance(outcome.error, Exception):
            run = replace(run, status=RunStatus.FAILED, error=error_of(attempt, outcome.error))
        elif outcome.error is None:
            run = replace(run, output=await aside(attempt.mask, attempt.mask.value, outcome.value.output))
        await self._note_late(attempt.order, run)

    def _tell_of_end(self, order: Order, plan: Plan, ended: Run) -> None:
        """In the log and the metrics."""
        milliseconds, error = ended.ended_at - ended.started_at, ended.error.type if ended.error is not None else None
        node = node_of(plan, ended.path)
        if node is not None and ended.status is not RunStatus.CANCELLED:
            goes_on = ended.yielded is not None and not ended.yielded.task  # a run that waits for a token is the last
            self._attempt_ended(
                AttemptEnded(
                    plan.workflow_id,
                    node.type,
                    target_of(node),
                    ended.attempt,
                    milliseconds,
                    error,
                    ended.usage,
                    goes_on,
                )
            )
        fields = {"status": ended.status, "ms": milliseconds, "attempt": ended.attempt}
        logger.info("node ended", extra={**ids_of(order), **fields, **({"error": error} if error is not None else {})})

    async def _report(self, order: Order, plan: Plan, run: Run) -> None:
        message = mail_message(order.execution_id, result_event(order, plan, run), self._new_id())
        refusals = await self._ports.offload(self._ports.queues.send, DISPATCH, [message])
        if refusals:
            raise RetryableError(f"the result was refused: {refusals[0].reason}")
