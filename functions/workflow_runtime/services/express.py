"""Express executions on their way to the function that runs them, and what they may not do there."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec

from workflow_runtime.deployment.topology import EXPRESS
from workflow_runtime.engine.events import ChildEnded
from workflow_runtime.errors import ErrorDocument, InvalidEvent, RetryableError
from workflow_runtime.ports import Message, Ports
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import FIRST_SCHEMA, parsed
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import Globals, Header

ORDER = "express"  # of an event of the API to the function: the order, as messages have it
GIVEN_UP = "given-up:"  # begins the id of the news that an execution did not come to its end, however often it ran
LOST = ErrorDocument.of(
    "worker_lost", "it was begun again and again, and never came to its end: what its nodes have done is not recorded"
)
INLINE_BYTES_MAX = 200 * 1024  # of a start in a message or an invocation; a larger one is stored apart

logger = logging.getLogger(__name__)


class CannotWait(Exception):
    """An express execution would have to wait for others: for a limiter, for a person, until something is thawed."""


class ExpressStart(msgspec.Struct, frozen=True):
    """An execution that is to run: nothing of it need be stored. ``header``: pending; ``data``: what it may read."""

    header: Header
    data: Globals


class ExpressOrder(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="express"):
    """Has an execution run: with this ``start``, with the one that is stored as ``blob``, or as it is stored itself.
    ``schema``: see `messages.KNOWN_SCHEMA`."""

    execution_id: str
    start: ExpressStart | None = None
    blob: str = ""
    schema: int = FIRST_SCHEMA


class _Kind(msgspec.Struct):
    kind: str


_decoder = msgspec.json.Decoder(ExpressOrder)
_kinds = msgspec.json.Decoder(_Kind)
_starts = msgspec.json.Decoder(ExpressStart)


def express_body(order: ExpressOrder) -> str:
    """As messages and invocations carry it."""
    return msgspec.json.encode(order).decode()


def parse_express(body: str) -> ExpressOrder:
    """Raises `InvalidEvent` for a body that is nothing like an order, `UnknownMessage`."""
    order = parsed(body, _decoder, "kind")
    if order.start is None:  # then it is told by its kind alone, without which msgspec would take any message for one
        try:
            _kinds.decode(body)
        except msgspec.ValidationError as error:
            raise InvalidEvent(f"not an express execution: {error}") from error
    return order


def order_with(ports: Ports, start: ExpressStart) -> ExpressOrder:
    """The order that brings all of the start with it; a large one by way of the blob store. Raises `RetryableError`."""
    data = msgspec.json.encode(start)
    execution_id = start.header.execution_id
    if len(data) <= INLINE_BYTES_MAX:
        return ExpressOrder(execution_id, start)
    blob = f"executions/{execution_id}/express/{hashlib.sha256(data).hexdigest()[:40]}"
    ports.blobs.put(blob, data)
    return ExpressOrder(execution_id, blob=blob)


def start_in(ports: Ports, order: ExpressOrder) -> ExpressStart | None:
    """The start that an order brings; None: it brings none. Raises `RetryableError`."""
    return _starts.decode(ports.blobs.get(order.blob)) if order.blob else order.start


class Keeps(Protocol):
    """Stores starts; see `Starter`."""

    def keep(self, start: ExpressStart, *, is_running: bool) -> None: ...


class ExpressSender:
    """Has executions run by the function that does, some time soon."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def send_stored(self, execution_id: str) -> None:
        """One whose start is stored. Raises `RetryableError`."""
        self._send(ExpressOrder(execution_id))

    def send(self, start: ExpressStart) -> None:
        """One of which nothing is stored. Raises `RetryableError`."""
        self._send(order_with(self._ports, start))

    def _send(self, order: ExpressOrder) -> None:
        if refusals := self._ports.queues.send(EXPRESS, [Message(express_body(order))]):
            raise RetryableError(f"execution {order.execution_id} was refused: {refusals[0].reason}")


class ExpressNow:
    """Has executions run that somebody waits for. ``run`` returns when one has ended; ``starts`` stores those that have
    not in time."""

    def __init__(self, ports: Ports, run: Callable[[ExpressOrder], Awaitable[None]], starts: Keeps) -> None:
        self._ports = ports
        self._run = run
        self._starts = starts
        self._running: set[asyncio.Future[None]] = set()  # nobody else may hold them

    async def run(self, start: ExpressStart, seconds: float) -> None:
        """Have an execution run that is not stored, and wait for its end so long. If it takes longer, or is cut off, it
        is stored, so that it comes to its end all the same. Raises `RetryableError`.
        """
        order = await self._ports.offload(order_with, self._ports, start)
        running = asyncio.ensure_future(self._run(order))
        self._running.add(running)
        running.add_done_callback(self._ended)
        try:
            await self._ports.clock.within(seconds, _shielded(running))
        except TimeoutError:
            await self._ports.offload(partial(self._starts.keep, start, is_running=True))
        except Exception as error:  # whatever it was, nothing of the execution is stored yet
            unexpected = not isinstance(error, RetryableError)
            fields = {"execution_id": order.execution_id, "reason": str(error)}
            logger.warning("an express execution is tried again", exc_info=unexpected, extra=fields)
            await self._ports.offload(partial(self._starts.keep, start, is_running=False))

    def _ended(self, running: asyncio.Future[None]) -> None:
        """Also when nobody waits any more: then the execution is stored, and is run again."""
        self._running.discard(running)
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.info("an invocation of an express execution failed", extra={"reason": str(error)})


async def _shielded(running: asyncio.Future[None]) -> None:
    """Waits; it is not cancelled with the waiting."""
    await asyncio.shield(running)


class Within:
    """Runs what an express execution awaits, in its own invocation. ``recorded`` sees what express executions have
    recorded."""

    def __init__(self, sender: ExpressSender, mailer: Mailer, recorded: ExecutionStore, now: Callable[[], int]) -> None:
        self.run = sender.send
        self._mailer = mailer
        self._recorded = recorded
        self._now = now

    def tell_end(self, child: Header) -> None:
        """Tell the execution that awaits it of the end of a child that an earlier invocation has run, if it has ended.
        Raises `RetryableError`."""
        if not child.status.terminal or child.parent is None:
            return
        output, blob = self._recorded.output_to_send(child.execution_id, None)
        event = ChildEnded(
            f"child:{child.execution_id}",
            self._now(),
            child.parent.token,
            child.execution_id,
            child.status.value,
            output=output,
            blob=blob,
            error=child.error,
        )
        self._mailer.send(child.parent.execution_id, event)
