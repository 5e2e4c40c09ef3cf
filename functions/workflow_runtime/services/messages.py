"""What travels through the queues: events to mailboxes, orders to workers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar

import msgspec

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import Event
from workflow_runtime.errors import InvalidEvent, RetryableError
from workflow_runtime.language.json_values import DEPTH_MAX, Json, check_levels
from workflow_runtime.plan.limiters import Share
from workflow_runtime.ports import Message
from workflow_runtime.storage.limiters import plain_tenant

FIRST_SCHEMA = 1  # of messages that do not say theirs
KNOWN_SCHEMA = 1
"""The newest schema of messages that is read here. Fields may be added under the same one; a release that means
something else by what this one would read says a newer one in such messages, which then wait for that release."""


class Mail(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event for an execution's mailbox; ``then``: what happened afterwards, in order. An older version takes the
    first event only, and asks for the others. ``counts``: what the sender has counted, see `services.tally`; an older
    version leaves it out. ``schema``: see `KNOWN_SCHEMA`."""

    execution_id: str
    event: Event
    then: tuple[Event, ...] = ()
    counts: dict[str, dict[str, int]] = {}
    schema: int = FIRST_SCHEMA

    @property
    def events(self) -> tuple[Event, ...]:
        return self.event, *self.then


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `RunNode` command on its way to a worker, with what it needs to know of the execution.

    - ``hops``: executions that passed on the event which led to it
    - ``correlation_id``: see `log_fields`
    - ``tenant``: whom the execution is for; ``shares``: its part in limiters, by their names
    - ``granted``: of limiters that let it begin, by name, their fencing numbers; ``granted_at``: from when on (epoch
      ms); ``booked``: the starts of those that have booked an earlier one; ``shards``: which ones, of limiters that are
      divided
    - ``is_reminder``: it only has the time looked at that the order may wait
    - ``schema``: see `KNOWN_SCHEMA`
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
    booked: dict[str, int] = {}
    shards: dict[str, int] = {}
    is_reminder: bool = False
    schema: int = FIRST_SCHEMA

    @property
    def log_fields(self) -> dict[str, str]:
        """What each log line of its attempt says; orders of an earlier version have no correlation id."""
        correlation_id = self.correlation_id or self.execution_id
        return {"execution_id": self.execution_id, "correlation_id": correlation_id, "node": self.command.path}


class Timer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A timer on its way: ``due`` (epoch ms) may still lie ahead. ``schema``: see `KNOWN_SCHEMA`."""

    execution_id: str
    timer: str
    due: int
    schema: int = FIRST_SCHEMA


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Has a worker send what waits in the outbox of an execution under this id. ``schema``: see `KNOWN_SCHEMA`."""

    execution_id: str
    outbox: str
    schema: int = FIRST_SCHEMA


class UnknownMessage(RetryableError):
    """A readable message that this version of the runtime does not know, or knows otherwise."""


class _Envelope(msgspec.Struct):
    """Of any message, the execution that it is for; events of the bus have it in their detail."""

    execution_id: Json = None
    detail: dict[str, Json] = {}


EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LEVELS_MAX = DEPTH_MAX + 12  # a value, in what it travels in: an order in a failure in a mail, say


class Content(Protocol):
    """Of any message."""

    @property
    def execution_id(self) -> str: ...
    @property
    def schema(self) -> int: ...


ContentT = TypeVar("ContentT", bound=Content)

_encoder = msgspec.json.Encoder()
_mails = msgspec.json.Decoder(Mail)
_orders = msgspec.json.Decoder(Order)
_timers = msgspec.json.Decoder(Timer)
_deliveries = msgspec.json.Decoder(Delivery)
_envelopes = msgspec.json.Decoder(_Envelope)


def mail_message(execution_id: str, event: Event, invocation: str, then: tuple[Event, ...] = ()) -> Message:
    """The event as a message in the execution's FIFO group, with what happened ``then``.

    The deduplication id absorbs the SDK's own retries only, hence the invocation in it: correctness rests on event ids.
    """
    identity = hashlib.sha256(f"{execution_id}:{event.event_id}:{invocation}".encode()).hexdigest()
    return Message(mail_body(Mail(execution_id, event, then)), group=execution_id, deduplication_id=identity)


def mail_body(mail: Mail) -> str:
    return _encoder.encode(mail).decode()


def with_counts(mail: Message, counts: Mapping[str, Mapping[str, int]]) -> Message:
    """The mail with what its sender has counted as its last member."""
    member = _encoder.encode(counts).decode()
    return msgspec.structs.replace(mail, body=f'{mail.body[:-1]},"counts":{member}}}')


def order_message(order: Order) -> Message:
    """The order as a message, in the group of its tenant: a tenant with many keeps those of others from waiting."""
    return Message(_encoder.encode(order).decode(), group=plain_tenant(order.tenant) if order.tenant else None)


def parse_mail(body: str) -> Mail:
    """Raises `InvalidEvent` for a body that is nothing like a mail, `UnknownMessage`."""
    return parsed(body, _mails, "event")


def parse_order(body: str) -> Order:
    """Raises `InvalidEvent` for a body that is nothing like an order, `UnknownMessage`."""
    return parsed(body, _orders, "command")


def timer_body(timer: Timer) -> str:
    return _encoder.encode(timer).decode()


def parse_timer(body: str) -> Timer:
    """Raises `InvalidEvent` for a body that is nothing like a timer, `UnknownMessage`."""
    return parsed(body, _timers, "timer")


def delivery_body(delivery: Delivery) -> str:
    return _encoder.encode(delivery).decode()


def parse_delivery(body: str) -> Delivery:
    """Raises `InvalidEvent` for a body that is nothing like a delivery, `UnknownMessage`."""
    return parsed(body, _deliveries, "outbox")


def execution_named(body: str) -> str | None:
    """The execution that a message is for, whatever else it says; None if it names none."""
    try:
        check_levels(body, LEVELS_MAX)
        envelope = _envelopes.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        return None
    found = envelope.execution_id if isinstance(envelope.execution_id, str) else envelope.detail.get("execution_id")
    return found if isinstance(found, str) and EXECUTION_ID.fullmatch(found) else None


def parsed(body: str, decoder: msgspec.json.Decoder[ContentT], field: str) -> ContentT:
    """A message of which ``field`` is the content. Ones with another content than is known here may be of a newer
    version, which an upgrade sends: the queue keeps them until this one is replaced. Raises `InvalidEvent`,
    `UnknownMessage`."""
    try:
        check_levels(body, LEVELS_MAX)
        content = decoder.decode(body)
    except msgspec.ValidationError as error:
        if field in _keys(body) and execution_named(body) is not None:
            raise UnknownMessage(f"not known here: {error}") from error
        raise InvalidEvent(f"nothing that the runtime sends: {error}") from error
    except ValueError as error:
        raise InvalidEvent(f"unreadable: {error}") from error
    if not EXECUTION_ID.fullmatch(content.execution_id):
        raise InvalidEvent("nothing that the runtime sends: it names no execution")
    if content.schema > KNOWN_SCHEMA:
        raise UnknownMessage(f"its schema, {content.schema}, is newer than the one known here, {KNOWN_SCHEMA}")
    return content


def _keys(body: str) -> Collection[str]:
    """Of the object that a body is; it may go on so that it is none, which the first thing wrong in it hid."""
    try:
        value = msgspec.json.decode(body)
    except ValueError:
        return ()
    return value if isinstance(value, dict) else ()
