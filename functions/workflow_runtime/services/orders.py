"""Sending orders to the worker pools' queues, and sending again those that nobody carries out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeGuard

import msgspec

from workflow_runtime.deployment.topology import serving_queue
from workflow_runtime.engine.commands import CancelRun, Command, RecordNode, RunNode, StopRun
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, NodeYielded, RunStopped
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.visits import awaited_as
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan.limiters import SHARDS_MAX
from workflow_runtime.ports import Ports
from workflow_runtime.services.limits.arithmetic import holders, is_booked_ahead
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.messages import Order, order_message
from workflow_runtime.storage.limiters import LimiterName, holder_in
from workflow_runtime.storage.records import Run, RunStatus, StoredState
from workflow_runtime.storage.stores import Stores

GRACE_MS = 60_000  # that a lease or a timer may be over its time: its own way of being noticed comes first
LEASE_MS = 90_000  # of a claim; a worker that lives longer renews it, and hides its message as long
ENTRIES_PAGE = 25  # journal entries read at once
ENTRIES_MAX = 2000  # journal entries searched for orders, newest first
ORDERS_MAX = 500  # orders of one execution sent again at once
SERVED_READ_MAX = 50  # runs that have ended, read to see how long orders lie in a queue

Ran: TypeAlias = tuple[str, int]
"""Path and serial of a run."""

logger = logging.getLogger(__name__)


class RefusedOrder(msgspec.Struct, frozen=True):
    """An order that its queue will never take; ``body`` is the message's."""

    command: RunNode
    body: str
    reason: str


def send_orders(
    ports: Ports,
    pools: Collection[str],
    state: ExecutionState,
    commands: Sequence[RunNode],
    correlation_id: str,
) -> list[RefusedOrder]:
    """Send orders of one execution, each pool's together. Returns those that were refused for good.

    ``pools``: those that have a queue. Raises `RetryableError`.
    """
    refused: list[RefusedOrder] = []
    by_pool: dict[str, list[RunNode]] = {}
    for command in commands:
        by_pool.setdefault(command.pool, []).append(command)
    for pool, ordered in by_pool.items():
        messages = [order_message(_order(state, command, correlation_id)) for command in ordered]
        refused += [
            RefusedOrder(ordered[refusal.index], messages[refusal.index].body, refusal.reason)
            for refusal in ports.queues.send(serving_queue(pool, pools), messages)
        ]
    return refused


def _order(state: ExecutionState, command: RunNode, correlation_id: str) -> Order:
    return Order(
        state.execution_id,
        state.plan_hash,
        state.workflow_version,
        state.started_at,
        command,
        state.hops,
        correlation_id,
        state.tenant,
        state.shares,
    )


class Sent(msgspec.Struct, frozen=True):
    """How many orders were sent again; ``young``: others may turn out to be lost soon."""

    count: int
    young: bool


class OpenOrders:
    """Orders of an execution whose end it does not know yet. ``pools``: those that have a queue; ``lines``: where
    orders that wait for limiters are looked for."""

    def __init__(self, ports: Ports, stores: Stores, pools: Collection[str], lines: Lines | None = None) -> None:
        self._ports = ports
        self._limiters = stores.limiters
        self._lines = lines
        self._executions = stores.executions
        self._runs = stores.runs
        self._pools = pools
        self._waits: dict[str, tuple[int, int]] = {}
        """By pool, how long (ms) orders begun lately had lain in its queue, and when that was found."""

    def send_lost(self, stored: StoredState) -> Sent:
        """Send those again that nobody is known to be carrying out. Raises `RetryableError`."""
        suspended = stored.state.status is ExecutionStatus.SUSPENDED
        return self._send(stored, _was_lost if suspended else _is_lost)

    def send_unbegun(self, stored: StoredState) -> int:
        """Send those again that no worker has begun, the newest commit's apart. Returns how many. Raises
        `RetryableError`."""
        return self._send(stored, lambda _, run, __: run is None or run.status.unclaimed).count

    def _send(self, stored: StoredState, is_lost: Callable[[RunNode, Run | None, int], bool]) -> Sent:
        state = stored.state
        wanted = state.in_flight + state.collecting
        orders, served = self._listed(stored, wanted) if wanted else ([], [])
        begun = self._runs.get_all(state.execution_id, [(order.path, order.serial) for order in orders])
        chains = self._runs.segments(state.execution_id, list(begun.values()))
        runs = {ran: chain[-1] for ran, chain in zip(begun, chains, strict=True)}
        now = self._ports.clock.now()
        if len(runs) < len(orders):
            self._note_waits(state.execution_id, orders, served[:SERVED_READ_MAX], begun, now)
        astray = self._out_of_line(runs.values()) if self._lines is not None else set()
        lost = [
            order
            for order in orders
            if (order.path, order.serial) in astray or is_lost(order, runs.get((order.path, order.serial)), now)
        ]
        lost = [order for order in lost if (order.path, order.serial) in runs or not self._may_wait(order, now)]
        lost = lost[:ORDERS_MAX]
        if lost:
            fields = {"execution_id": state.execution_id, "orders": len(lost)}
            logger.warning("orders are sent again", extra=fields)
        if refused := send_orders(self._ports, self._pools, state, lost, stored.tags.correlation_id):
            raise RetryableError(f"orders were refused by their queue: {refused[0].reason}")
        return Sent(len(lost), any(_is_young(order, runs.get((order.path, order.serial)), now) for order in orders))

    def _note_waits(
        self, execution_id: str, orders: Sequence[RunNode], served: Sequence[RunNode], runs: Mapping[Ran, Run], now: int
    ) -> None:
        """Note how long orders have lain in the queues of their pools that were begun lately."""
        begun = {**runs, **self._runs.get_all(execution_id, [(order.path, order.serial) for order in served])}
        for order in (*orders, *served):
            run = begun.get((order.path, order.serial))
            if run is None or order.attempt > 1 or run.started_at <= now - GRACE_MS:
                continue
            seen_at, longest = self._waits.get(order.pool, (0, 0))
            waited = run.started_at - order.at
            self._waits[order.pool] = now, max(waited, longest) if seen_at > now - GRACE_MS else waited

    def _may_wait(self, order: RunNode, now: int) -> bool:
        """Whether an order that nobody has begun may still lie in its queue: others were begun lately that had been in
        it as long."""
        seen_at, waited = self._waits.get(order.pool, (0, 0))
        return seen_at > now - GRACE_MS and order.at + waited + GRACE_MS > now

    def _out_of_line(self, runs: Iterable[Run]) -> set[tuple[str, int]]:
        """Runs that are taken to wait for a limiter, and stand in no line; those that do have a pump after this."""
        waiting = {(run.path, run.serial): run for run in runs if run.status is RunStatus.WAITING}
        by_limiter: dict[LimiterName, dict[tuple[str, int], str]] = {}
        for key, run in waiting.items():
            by_limiter.setdefault(LimiterName(run.limiter, run.limiter_key), {})[key] = run.place
        astray: set[tuple[str, int]] = set()
        for name, places in by_limiter.items():
            there = self._limiters.standing(name, list(places.values()))
            elsewhere = {key: place for key, place in places.items() if place not in there}
            now = self._ports.clock.now()
            gauges = self._limiters.gauges_of([name.at(shard) for shard in range(SHARDS_MAX)]) if elsewhere else {}
            if not any(is_booked_ahead(gauge, now) for gauge in gauges.values()):  # else a grant may be on its way
                held = {holder for gauge in gauges.values() for holder, until in holders(gauge).items() if until >= now}
                astray |= {key for key, place in elsewhere.items() if holder_in(place) not in held}
            if there and self._lines is not None:
                self._lines.ensure_pump(name)
        return astray

    def _listed(self, stored: StoredState, wanted: int) -> tuple[list[RunNode], list[RunNode]]:
        """Orders whose run's end the engine has not taken yet, newest first; there are ``wanted`` of them. And others
        that it meets on the way, what ended last first.

        From the newest journal entry on: that an order was settled stands after the order.
        """
        settled: dict[Ran, None] = dict.fromkeys(stored.state.withdrawn)
        found: list[RunNode] = []
        served: dict[Ran, RunNode] = {}
        newest = stored.state.version
        oldest = max(newest - ENTRIES_MAX, 0)
        for top in range(newest, oldest, -ENTRIES_PAGE):
            versions = range(max(top - ENTRIES_PAGE, oldest) + 1, top + 1)
            for entry in reversed(self._executions.entries(stored.state.execution_id, versions)):
                for event in entry.events:
                    if isinstance(event, (NodeSucceeded, NodeFailed, NodeYielded, RunStopped)):
                        settled[event.path, event.serial] = None
                for command in entry.commands:
                    if isinstance(command, (CancelRun, RecordNode)) or _is_dropped(command, stored.state):
                        settled[command.path, command.serial] = None
                for command in entry.commands:
                    if isinstance(command, RunNode):
                        if (command.path, command.serial) in settled:
                            served[command.path, command.serial] = command
                        elif len(found) < wanted:
                            found.append(command)
            if len(found) == wanted:
                break
        return found, [served[ran] for ran in settled if ran in served]


def _is_dropped(command: Command, state: ExecutionState) -> TypeGuard[StopRun]:
    """Whether it stops a run that the execution does not wait for, or no longer."""
    return isinstance(command, StopRun) and not awaited_as(state.stopping, command.path, command.serial)


def _is_young(order: RunNode, run: Run | None, now: int) -> bool:
    """Whether it may turn out to be lost, and nobody but the sweep would notice: before the first renewal of a lease,
    the queue keeps a dead worker's message for long.
    """
    if run is None:
        return order.at + GRACE_MS > now
    return run.status is RunStatus.RUNNING and run.started_at + GRACE_MS + LEASE_MS > now


def _is_lost(order: RunNode, run: Run | None, now: int) -> bool:
    """Whether nobody carries it out: it was not claimed, given back, ended unnoticed, or its worker is silent."""
    if run is None:
        return order.at + GRACE_MS <= now
    if run.status is RunStatus.RUNNING:
        return run.lease_until + GRACE_MS <= now
    return run.status not in (RunStatus.CANCELLED, RunStatus.WAITING)


def _was_lost(order: RunNode, run: Run | None, now: int) -> bool:
    """The same while the execution is suspended, when workers begin nothing."""
    return run is not None and not run.status.unclaimed and _is_lost(order, run, now)
