"""A worker's side of its queue: an order is acknowledged, postponed, or given back with growing delays."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

from msgspec.structs import replace

from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import ConflictError, InvalidEvent, RetryableError
from workflow_runtime.ports import DELAY_SECONDS_MAX, VISIBILITY_SECONDS_MAX, Cancellable, Ports
from workflow_runtime.services.dispatch.pacing import backoff_seconds
from workflow_runtime.services.messages import (
    Delivery,
    Order,
    UnknownMessage,
    order_message,
    parse_delivery,
    parse_order,
)
from workflow_runtime.services.patience import patiently
from workflow_runtime.services.upkeep.dead_letters import DeadLetters
from workflow_runtime.services.work.attempt import LEASE_SECONDS, RENEWAL_SECONDS
from workflow_runtime.services.work.runner import NodeRunner, Postponed

WAITING_RECEIVES_MAX = 3  # then a copy waits in its place: an order that only waits must not become a dead letter
HIDDEN_AFTER_SECONDS = 5  # what ends sooner needs no request more; what dies sooner, the sweep finds
HIDDEN_LONGER_SECONDS = 30  # than the lease: the next to get the order of a dead worker then finds its lease over

Record: TypeAlias = Mapping[str, Any]
Read: TypeAlias = Order | Delivery
Unread: TypeAlias = UnknownMessage | InvalidEvent

logger = logging.getLogger(__name__)


class Worker:
    """Takes the orders of ``function``'s queue, batch by batch; what is none goes to ``dead_letters``."""

    def __init__(self, runner: NodeRunner, ports: Ports, function: Function, dead_letters: DeadLetters) -> None:
        self._runner = runner
        self._ports = ports
        self._dead_letters = dead_letters
        self._queue = function.sources[0].queue

    def batch(self, records: Sequence[Record]) -> Batch:
        """The orders of one invocation, which share its process: ``records`` as Lambda delivers them."""
        return Batch(self._runner, self._ports, self._queue, self._dead_letters, records)


class Batch:
    """Orders that one process carries out side by side; one that must run alone is the only one, and the others are
    delivered again at once.

    What is still under way after `HIDDEN_AFTER_SECONDS` stays invisible for as long as its lease lasts and a little
    longer, which is renewed as the lease is: of a worker that dies, the queue delivers it soon to another.
    """

    def __init__(
        self, runner: NodeRunner, ports: Ports, queue: str, dead_letters: DeadLetters, records: Sequence[Record]
    ) -> None:
        self._runner = runner
        self._ports = ports
        self._queue = queue
        self._dead_letters = dead_letters
        self._under_way = {record["receiptHandle"] for record in records}
        self._orders = {record["messageId"]: _read(record["body"]) for record in records}
        alone = (id for id, order in self._orders.items() if isinstance(order, Order) and order.command.alone)
        self._alone = next(alone, None)

    def keep_hidden(self) -> Cancellable:
        """Until it is cancelled."""
        return self._ports.clock.later(HIDDEN_AFTER_SECONDS, self._keep_hidden)

    async def _keep_hidden(self) -> None:
        while self._under_way:
            with suppress(RetryableError):  # then they come again sooner or later, and meet the lease
                await self._hide(self._under_way, LEASE_SECONDS + HIDDEN_LONGER_SECONDS)
            await self._ports.clock.sleep(RENEWAL_SECONDS)

    async def take(self, record: Record) -> None:
        """Carry out one order. Returning acknowledges it; raises `RetryableError` when it must be delivered again.

        A body that nobody can read is a dead letter at first sight.
        """
        try:
            await self._take(record)
        finally:
            self._under_way.discard(record["receiptHandle"])

    async def _take(self, record: Record) -> None:
        order = self._orders[record["messageId"]]
        if isinstance(order, UnknownMessage):
            await self._again(order, record, {})
        if isinstance(order, InvalidEvent):
            await self._ports.offload(self._dead_letters.record, record["messageId"], record["body"], str(order))
            return
        if isinstance(order, Delivery):
            await self._deliver(order, record)
            return
        try:
            if self._alone not in (None, record["messageId"]):
                raise Postponed(0)
            await self._runner.run(order)
        except Postponed as error:
            if _receives(record) >= WAITING_RECEIVES_MAX:
                await self._send_again(order, error.seconds)
                return
            await self._hide({record["receiptHandle"]}, error.seconds)
            raise RetryableError(str(error)) from error
        except (RetryableError, ConflictError, InvalidEvent) as error:
            await self._again(error, record, order.log_fields)

    async def _deliver(self, delivery: Delivery, record: Record) -> None:
        try:
            await self._runner.deliver(delivery)
        except RetryableError as error:
            await self._again(error, record, {"execution_id": delivery.execution_id})

    async def _again(self, error: Exception, record: Record, ids: dict[str, str]) -> NoReturn:
        """Have an order delivered again, after a while. Raises `RetryableError`."""
        receives = _receives(record)
        logger.warning("an order is delivered again later", extra={**ids, "reason": str(error), "receives": receives})
        await self._hide({record["receiptHandle"]}, backoff_seconds(receives))
        raise RetryableError(str(error)) from error

    async def _send_again(self, order: Order, seconds: int) -> None:
        copy = replace(order_message(order), delay_seconds=min(seconds, DELAY_SECONDS_MAX))
        if await self._ports.offload(self._ports.queues.send, self._queue, [copy]):
            raise RetryableError("an order that has to wait was refused")

    async def _hide(self, receipt_handles: Collection[str], seconds: int) -> None:
        seconds = min(seconds, VISIBILITY_SECONDS_MAX)
        until = dict.fromkeys(receipt_handles, seconds)
        # Tried for a while: what could not be told stays hidden for as long as its attempt might take, an hour or more.
        await patiently(self._ports, self._ports.queues.set_visibility, self._queue, until)


def _read(body: str) -> Read | Unread:
    try:
        return parse_order(body)
    except UnknownMessage as error:
        return error
    except InvalidEvent as error:
        with suppress(InvalidEvent):
            return parse_delivery(body)
        return error


def _receives(record: Record) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])
