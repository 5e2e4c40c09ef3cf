"""Effects that are committed with the record of what brought them about: writes of other tables, and what goes to
other queues and to buses."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.language.json_values import Json

KeyValue: TypeAlias = str | int | float

TABLE_KEY_ATTRIBUTES_MAX = 2  # DynamoDB: a partition key, and perhaps a sort key


class EffectRefused(NodeError):
    """Whoever the effect is for refuses it for good: nothing of the transaction was done, or nothing was sent."""


class TableWrite(msgspec.Struct, frozen=True, kw_only=True, tag="write"):
    """A write of one item of another table, in the account and region of the runtime's own.

    - ``table``: its name; ``key``: the item's key, the partition key first
    - ``put``: the other attributes that the item consists of from then on; None: it is changed, or deleted
    - ``set``, ``add``, ``remove``: attributes and their new values, what is added to numbers (a missing one counts as
      0), and attributes that go; an item that does not exist is created
    - ``delete``: the item goes
    - ``needs``: what must hold of the item as it is: whether there is one, or values of its attributes
    """

    table: str
    key: dict[str, KeyValue]
    put: dict[str, Json] | None = None
    set: dict[str, Json] = {}
    add: dict[str, int | float] = {}
    remove: tuple[str, ...] = ()
    delete: bool = False
    needs: Literal["absent", "present"] | dict[str, Json] | None = None


class QueueMessage(msgspec.Struct, frozen=True, kw_only=True, tag="message"):
    """A message for another queue. ``id`` is the same whenever it is sent: it is the message attribute
    `ID_ATTRIBUTE`, and in a FIFO queue part of the deduplication id."""

    id: str
    queue: str
    body: str
    group: str | None = None
    delay_seconds: int = 0
    attributes: dict[str, str] = {}


class BusMessage(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """An event for a bus; ``bus`` "": the runtime's own. Its ``detail`` (JSON text) carries the ``id``, which is the
    same whenever it is published."""

    id: str
    source: str
    topic: str
    detail: str
    bus: str = ""


Outgoing: TypeAlias = QueueMessage | BusMessage
Effect: TypeAlias = TableWrite | QueueMessage | BusMessage

ID_ATTRIBUTE = "idempotency_key"  # of a message in a queue


class Outlets(Protocol):
    """Queues and buses of others, in the account and region of the runtime."""

    def send_message(self, message: QueueMessage) -> None:
        """Send a message. Raises `EffectRefused` for good, `RetryableError`."""

    def put_event(self, event: BusMessage) -> None:
        """Publish an event on a bus that is not the runtime's own. Raises as `send_message`."""
