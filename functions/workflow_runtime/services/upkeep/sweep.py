"""The sweep: every running execution is looked after from time to time, so that nothing that got lost stays lost.

Whatever it finds it only starts again: a poke publishes what a dispatcher left half done; an order sent again is
carried out if it never was, reports a result whose report got lost, or finds the expired lease of a dead worker; an
overdue timer is delivered. Everything it sends is recognised when it was not needed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence

import msgspec

from workflow_runtime.deployment.topology import PLUMBING_TIMEOUT_SECONDS
from workflow_runtime.engine.commands import CancelRun, RunNode
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Ports
from workflow_runtime.services.freeze.looks import Looks
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Timer
from workflow_runtime.services.orders import send_orders
from workflow_runtime.services.timers import Timers
from workflow_runtime.storage.due import SECONDS_MAX, SHARDS, Due
from workflow_runtime.storage.records import Run, RunStatus, StoredState
from workflow_runtime.storage.stores import Stores

PAGE = 100  # due executions read at once
CHECKS_MAX = 100  # running executions looked after in one shard and sweep
SWEEP_SECONDS_MAX = PLUMBING_TIMEOUT_SECONDS * 2 // 3  # then the rest waits for the next tick
GRACE_MS = 60_000  # that a lease or a timer may be over its time: its own way of being noticed comes first
ENTRIES_PAGE = 25  # journal entries read at once
ENTRIES_MAX = 2000  # journal entries searched for orders, newest first
ORDERS_MAX = 500  # orders of one execution sent again in one sweep

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
        self, ports: Ports, stores: Stores, mailer: Mailer, timers: Timers, looks: Looks, pools: Collection[str]
    ) -> None:
        self._ports = ports
        self._looks = looks
        self._workflows = stores.workflows
        self._mailer = mailer
        self._timers = timers
        self._pools = pools
        self._due = stores.due
        self._executions = stores.executions
        self._runs = stores.runs

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
        """One execution; whatever is wrong with it must not keep the sweep from the others."""
        try:
            self._check(due.execution_id, swept)
        except RetryableError:
            raise
        except Exception:
            logger.exception("an execution could not be looked after", extra={"execution_id": due.execution_id})
        swept.running += 1
        self._due.move(due, due.next(self._ports.clock.now()))

    def _check(self, execution_id: str, swept: Swept) -> None:
        self._mailer.poke(execution_id)
        stored = self._executions.load(execution_id)
        if stored is None or not stored.published or stored.state.status.terminal:
            return  # the poke has it started, or published
        swept.timers += self._deliver_overdue(stored.state)
        swept.orders += self._order_again(stored)

    def _deliver_overdue(self, state: ExecutionState) -> int:
        now = self._ports.clock.now()
        overdue = [
            Timer(state.execution_id, timer, due) for timer, due in state.timers.items() if due + GRACE_MS <= now
        ]
        for timer in overdue:
            self._timers.deliver(timer)
        return len(overdue)

    def _order_again(self, stored: StoredState) -> int:
        """Send the open orders again that nobody is known to be carrying out."""
        state = stored.state
        wanted = state.in_flight + state.collecting
        orders = list(self._open_orders(stored, wanted)) if wanted else []
        runs = self._runs.get_all(state.execution_id, [(order.path, order.serial) for order in orders])
        now = self._ports.clock.now()
        lost = [order for order in orders if _is_lost(order, runs.get((order.path, order.serial)), now)]
        lost = self._not_frozen(state, lost)[:ORDERS_MAX]
        if lost:
            fields = {"execution_id": state.execution_id, "orders": len(lost)}
            logger.warning("orders are sent again", extra=fields)
        if refused := send_orders(self._ports, self._pools, state, lost, stored.correlation_id):
            raise RetryableError(f"orders were refused by their queue: {refused[0].reason}")
        return len(lost)

    def _not_frozen(self, state: ExecutionState, orders: list[RunNode]) -> list[RunNode]:
        """Those that no freeze would hold back again."""
        if not orders or not self._looks.known():
            return orders
        plan = self._workflows.plan(state.plan_hash)
        return [order for order in orders if self._looks.holding_run(plan, order.path) is None]

    def _open_orders(self, stored: StoredState, wanted: int) -> Iterator[RunNode]:
        """Orders whose run's end the engine has not taken yet, newest first; there are ``wanted`` of them.

        From the newest journal entry on: that an order was settled stands after the order.
        """
        settled: set[tuple[str, int]] = set(stored.state.withdrawn)
        newest = stored.state.version
        oldest = max(newest - ENTRIES_MAX, 0)
        for top in range(newest, oldest, -ENTRIES_PAGE):
            versions = range(max(top - ENTRIES_PAGE, oldest) + 1, top + 1)
            for entry in reversed(self._executions.entries(stored.state.execution_id, versions)):
                for event in entry.events:
                    if isinstance(event, (NodeSucceeded, NodeFailed)):
                        settled.add((event.path, event.serial))
                for command in entry.commands:
                    if isinstance(command, CancelRun):
                        settled.add((command.path, command.serial))
                for command in entry.commands:
                    if isinstance(command, RunNode) and (command.path, command.serial) not in settled:
                        yield command
                        wanted -= 1
                if wanted <= 0:
                    return


def _is_lost(order: RunNode, run: Run | None, now: int) -> bool:
    """Whether nobody carries it out: it was not claimed, given back, ended unnoticed, or its worker is silent."""
    if run is None:
        return order.at + GRACE_MS <= now
    if run.status is RunStatus.RUNNING:
        return run.lease_until + GRACE_MS <= now
    return run.status is not RunStatus.CANCELLED
