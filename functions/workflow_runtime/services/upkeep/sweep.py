"""The sweep: every running execution is looked after from time to time, so that nothing that got lost stays lost.

Whatever it finds it only starts again: a poke publishes what a dispatcher left half done; an order sent again is
carried out if it never was, reports a result whose report got lost, or finds the expired lease of a dead worker; an
overdue timer is delivered. Everything it sends is recognised when it was not needed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import msgspec

from workflow_runtime.deployment.topology import PLUMBING_TIMEOUT_SECONDS
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Ports
from workflow_runtime.services.freeze.looks import Looks
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Timer
from workflow_runtime.services.orders import GRACE_MS, ORDERS_MAX, OpenOrders
from workflow_runtime.services.timers import Timers
from workflow_runtime.storage.due import SECONDS_MAX, SHARDS, Due
from workflow_runtime.storage.stores import Stores

PAGE = 100  # due executions read at once
CHECKS_MAX = 100  # running executions looked after in one shard and sweep
SWEEP_SECONDS_MAX = PLUMBING_TIMEOUT_SECONDS * 2 // 3  # then the rest waits for the next tick

logger = logging.getLogger(__name__)


class Swept(msgspec.Struct):
    """What a sweep did: executions it looked after or found ended, orders and timers it sent again."""

    running: int = 0
    ended: int = 0
    orders: int = 0
    timers: int = 0


class Sweep:
    """``pools``: those that have a queue."""

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        mailer: Mailer,
        timers: Timers,
        looks: Looks,
        pools: Collection[str],
        lines: Lines,
    ) -> None:
        self._ports = ports
        self._looks = looks
        self._workflows = stores.workflows
        self._mailer = mailer
        self._timers = timers
        self._orders = OpenOrders(ports, stores, pools, lines)
        self._due = stores.due
        self._executions = stores.executions

    def sweep(self) -> Swept:
        """Look after all executions that are due, within `SWEEP_SECONDS_MAX`. Raises `RetryableError`."""
        swept = Swept()
        end = self._ports.clock.now() + SWEEP_SECONDS_MAX * 1000
        for shard in range(SHARDS):
            self._sweep_shard(shard, end, swept)
        return swept

    def _sweep_shard(self, shard: int, end: int, swept: Swept) -> None:
        checks = 0
        before: Due | None = None
        until = self._ports.clock.now()
        while checks < CHECKS_MAX and self._ports.clock.now() < end:
            page = self._due.list(shard, until, PAGE, before)
            for due in self._running(page, swept):
                checks += 1
                self._look_after(due, swept)
            if len(page) < PAGE:
                return
            before = page[-1]

    def _running(self, page: Sequence[Due], swept: Swept) -> Sequence[Due]:
        """Those that run. What has ended is never due again; what has not begun is due later, a few times."""
        headers = self._executions.headers([due.execution_id for due in page])
        now = self._ports.clock.now()
        running: list[Due] = []
        ended: list[str] = []
        for due in page:
            header = headers.get(due.execution_id)
            if header is not None and not header.status.terminal:
                running.append(due)
            elif header is not None or due.seconds == SECONDS_MAX:
                ended.append(due.execution_id)
            else:
                self._due.move(due, due.next(now))
        if ended:
            self._due.remove(ended)
            swept.ended += len(ended)
        return running

    def _look_after(self, due: Due, swept: Swept) -> None:
        """One execution; whatever is wrong with it must not keep the sweep from the others. One that has more lost
        orders than are sent at once is due again at once."""
        orders = swept.orders
        try:
            self._check(due.execution_id, swept)
        except RetryableError:
            raise
        except Exception:
            logger.exception("an execution could not be looked after", extra={"execution_id": due.execution_id})
        swept.running += 1
        now = self._ports.clock.now()
        has_more = swept.orders - orders >= ORDERS_MAX
        self._due.move(due, Due(due.execution_id, now, due.seconds) if has_more else due.next(now))

    def _check(self, execution_id: str, swept: Swept) -> None:
        stored = self._executions.load(execution_id)
        stands = stored is not None and stored.published and stored.state.status is ExecutionStatus.SUSPENDED
        if not stands:
            self._mailer.poke(execution_id)
        if stored is None or not stored.published or stored.state.status.terminal:
            return  # the poke has it started, or published
        swept.timers += self._deliver_overdue(stored.state)
        swept.orders += self._orders.send_lost(stored, self._not_frozen)

    def _deliver_overdue(self, state: ExecutionState) -> int:
        now = self._ports.clock.now()
        overdue = [
            Timer(state.execution_id, timer, due) for timer, due in state.timers.items() if due + GRACE_MS <= now
        ]
        for timer in overdue:
            self._timers.deliver(timer)
        return len(overdue)

    def _not_frozen(self, state: ExecutionState, orders: list[RunNode]) -> list[RunNode]:
        """Those that no freeze would hold back again."""
        if not orders or not self._looks.known():
            return orders
        plan = self._workflows.plan(state.plan_hash)
        return [order for order in orders if self._looks.holding_run(plan, order.path) is None]
