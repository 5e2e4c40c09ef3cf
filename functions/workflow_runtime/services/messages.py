"""What travels through the queues: events to mailboxes, orders to workers."""

from __future__ import annotations

import hashlib

import msgspec

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import Event
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.plan.limiters import Share
from workflow_runtime.ports import Message


class Mail(msgspec.Struct, frozen=True):
    """An event for an execution's mailbox."""

    execution_id: str
    event: Event


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `RunNode` command on its way to a worker, with what it needs to know of the execution.

    - ``hops``: executions that passed on the event which led to it
    - ``correlation_id``: see `log_fields`
    - ``tenant``: whom the execution is for; ``shares``: its part in limiters, by their names
    - ``granted``: of limiters that let it begin, by name, their fencing numbers; ``granted_at``: from when on (epoch
      ms)
    - ``is_reminder``: it only has the time looked at that the order may wait
    """

    execution_id: str
    plan_hash: str
    workflow_version: int
    started_at: int
    command: RunNode
    hops: int = 0
    correlation_id: str = ""
    tenant: str = ""
    shares: dict[str, Share] = {}
    granted: dict[str, int] = {}
    granted_at: int = 0
    is_reminder: bool = False

    @property
    def log_fields(self) -> dict[str, str]:
        """What each log line of its attempt says; orders of an earlier version have no correlation id."""
        correlation_id = self.correlation_id or self.execution_id
        return {"execution_id": self.execution_id, "correlation_id": correlation_id, "node": self.command.path}


class Timer(msgspec.Struct, frozen=True):
    """A timer on its way: ``due`` (epoch ms) may still lie ahead."""

    execution_id: str
    timer: str
    due: int


_encoder = msgspec.json.Encoder()
_mails = msgspec.json.Decoder(Mail)
_orders = msgspec.json.Decoder(Order)
_timers = msgspec.json.Decoder(Timer)


def mail_message(execution_id: str, event: Event, invocation: str) -> Message:
    """The event as a message in the execution's FIFO group.

    The deduplication id absorbs the SDK's own retries only, hence the invocation in it: correctness rests on event ids.
    """
    identity = hashlib.sha256(f"{execution_id}:{event.event_id}:{invocation}".encode()).hexdigest()
    return Message(mail_body(Mail(execution_id, event)), group=execution_id, deduplication_id=identity)


def mail_body(mail: Mail) -> str:
    return _encoder.encode(mail).decode()


def order_message(order: Order) -> Message:
    return Message(_encoder.encode(order).decode())


def parse_mail(body: str) -> Mail:
    """Raises `InvalidEvent` for a body that is not a mail."""
    try:
        return _mails.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidEvent(f"not an event: {error}") from error


def parse_order(body: str) -> Order:
    """Raises `InvalidEvent` for a body that is not an order."""
    try:
        return _orders.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidEvent(f"not an order: {error}") from error


def timer_body(timer: Timer) -> str:
    return _encoder.encode(timer).decode()


def parse_timer(body: str) -> Timer:
    """Raises `InvalidEvent` for a body that is not a timer."""
    try:
        return _timers.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidEvent(f"not a timer: {error}") from error
