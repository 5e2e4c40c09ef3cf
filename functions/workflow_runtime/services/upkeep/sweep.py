"""The sweep: every running execution is looked after from time to time, so that nothing that got lost stays lost.

It only starts again what it finds: a poke publishes what a dispatcher left half done; an order sent again is
carried out if it never was, reports a result whose report got lost, or finds the expired lease of a dead worker; an
overdue timer is delivered. Everything it sends is recognised when it was not needed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from threading import Lock

import msgspec

from workflow_runtime.deployment.topology import PLUMBING_TIMEOUT_SECONDS, SWEEP, serving_queue
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Message, Ports
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Delivery, Timer, delivery_body
from workflow_runtime.services.orders import GRACE_MS, ORDERS_MAX, OpenOrders
from workflow_runtime.services.timers import Timers
from workflow_runtime.storage.due import ORDERED_SECONDS, SHARDS, Due
from workflow_runtime.storage.records import Header
from workflow_runtime.storage.stores import Stores

PAGE = 100  # due executions read at once
SWEEP_SECONDS_MAX = PLUMBING_TIMEOUT_SECONDS * 2 // 3  # then another message has the rest looked after

logger = logging.getLogger(__name__)


class Swept(msgspec.Struct):
    """What a sweep did: executions it looked after or found ended, orders and timers it sent again; by how much (ms)
    the first of them was late; executions of which it had all kept for another retention; what it had sent that was
    recorded, and not sent then.
    """

    running: int = 0
    ended: int = 0
    orders: int = 0
    timers: int = 0
    lateness: int = 0
    renewed: int = 0
    deliveries: int = 0


class Sweep:
    """``pools``: those that have a queue."""

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        mailer: Mailer,
        timers: Timers,
        pools: Collection[str],
        lines: Lines,
    ) -> None:
        self._ports = ports
        self._mailer = mailer
        self._timers = timers
        self._orders = OpenOrders(ports, stores, pools, lines)
        self._due = stores.due
        self._outbox = stores.outbox
        self._pools = pools
        self._executions = stores.executions
        self._retention = stores.retention
        self._renewal = stores.renewal
        self._counting = Lock()

    def request(self, shards: Iterable[int] = range(SHARDS)) -> None:
        """Have shards swept, each by an invocation of its own. Raises `RetryableError`."""
        if self._ports.queues.send(SWEEP, [Message(shard_body(shard)) for shard in shards]):
            raise RetryableError("the sweep's queue refused a message")

    def sweep(self, shard: int) -> Swept:
        """Look after the executions of a shard that are due, the oldest first, within `SWEEP_SECONDS_MAX`; what is left
        then is requested. Raises `RetryableError`.
        """
        swept = Swept()
        until = self._ports.clock.now()
        end = until + SWEEP_SECONDS_MAX * 1000
        swept.deliveries = self._have_sent(shard, until)
        last: Due | None = None
        while self._ports.clock.now() < end:
            page = self._due.list(shard, until, PAGE, last)
            if page and last is None:
                swept.lateness = max(until - page[0].at, 0)
            running = self._running(page, swept)
            self._ports.together([partial(self._look_after, due, header, swept) for due, header in running])
            if len(page) < PAGE:
                return swept
            last = page[-1]
        self.request([shard])
        return swept

    def _have_sent(self, shard: int, until: int) -> int:
        """Have workers send what waits in outboxes, a page at a time: how much that is. They have the rights. What
        cannot be handed over now keeps the sweep from nothing."""
        handed_over = 0
        for entry in self._outbox.due(shard, until, PAGE):
            message = Message(delivery_body(Delivery(entry.execution_id, entry.id)))
            fields = {"execution_id": entry.execution_id, "outbox": entry.id}
            try:
                refusals = self._ports.queues.send(serving_queue(entry.pool, self._pools), [message])
            except RetryableError as error:
                logger.warning("a delivery is sent later", extra={**fields, "reason": str(error)})
            else:
                handed_over += not refusals
                for refusal in refusals:
                    logger.error("a delivery was refused", extra={**fields, "reason": refusal.reason})
            self._outbox.postpone(entry, until)
        return handed_over

    def _running(self, page: Sequence[Due], swept: Swept) -> Sequence[tuple[Due, Header]]:
        """Those that run. What has ended is never due again; what has not begun is due later, a few times."""
        headers = self._executions.headers([due.execution_id for due in page])
        now = self._ports.clock.now()
        running: list[tuple[Due, Header]] = []
        for due in page:
            header = headers.get(due.execution_id)
            if header is not None and not header.status.terminal:
                running.append((due, header))
            elif header is not None or due.is_old:
                self._due.drop(due)
                swept.ended += 1
            else:
                self._due.move(due, due.next(now))
        return running

    def _look_after(self, due: Due, header: Header, swept: Swept) -> None:
        """One execution; whatever is wrong with it must not keep the sweep from the others."""
        following = due.next(self._ports.clock.now())
        try:
            following = self._check(due, swept) or following
            if self._retention.is_due(header.renewed_at or header.started_at) and not self._renew(header, swept):
                following = min(following, Due(due.execution_id, self._ports.clock.now(), due.since), key=_time)
        except RetryableError:
            raise
        except Exception:
            logger.exception("an execution could not be looked after", extra={"execution_id": due.execution_id})
        with self._counting:
            swept.running += 1
        self._due.move(due, following)

    def _renew(self, header: Header, swept: Swept) -> bool:
        """Have it kept for another retention, from where an earlier sweep has come to; whether that is all of it."""
        began_at = self._ports.clock.now()
        place = self._renewal.renew(header.execution_id, header.renewed_to)
        self._executions.note_renewal(header, began_at, place)
        with self._counting:
            swept.renewed += not place
        return not place

    def _check(self, due: Due, swept: Swept) -> Due | None:
        """When to look again, if that is sooner than usual: at once if more orders are lost than are sent at once, soon
        if some are still too young to be lost.
        """
        execution_id, now = due.execution_id, self._ports.clock.now()
        stored = self._executions.load(execution_id)
        stands = stored is not None and stored.published and stored.state.status is ExecutionStatus.SUSPENDED
        if not stands:
            self._mailer.poke(execution_id)
        if stored is None or not stored.published or stored.state.status.terminal:
            return None  # the poke has it started, or published
        timers = self._deliver_overdue(stored.state)
        sent = self._orders.send_lost(stored)
        with self._counting:
            swept.timers += timers
            swept.orders += sent.count
        if sent.count >= ORDERS_MAX:
            return Due(execution_id, now, due.since)
        soon = now + ORDERED_SECONDS * 1000
        return Due(execution_id, soon, due.since) if sent.young and soon < due.next(now).at else None

    def _deliver_overdue(self, state: ExecutionState) -> int:
        now = self._ports.clock.now()
        overdue = [
            Timer(state.execution_id, timer, due) for timer, due in state.timers.items() if due + GRACE_MS <= now
        ]
        for timer in overdue:
            self._timers.deliver(timer)
        return len(overdue)


def _time(due: Due) -> int:
    return due.at


class _Shard(msgspec.Struct):
    shard: int


_shards = msgspec.json.Decoder(_Shard)


def shard_body(shard: int) -> str:
    """The body of a message that has one shard swept."""
    return msgspec.json.encode(_Shard(shard)).decode()


def shard_in(body: str) -> int | None:
    """The shard that a message wants to be swept; None: it is a tick."""
    try:
        return _shards.decode(body).shard
    except msgspec.DecodeError:
        return None
