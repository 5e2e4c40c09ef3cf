"""What the services need from the outside world, as Protocols; one contract suite tests all that implement them.

Every call is its own transaction: nothing spans two calls. All of them follow the rules of the AWS services
(limits below), so that what works embedded works deployed. All raise `RetryableError` for faults of the infrastructure
that outlasted the adapter's own retries, and `ValueError` for what the services would refuse for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from workflow_runtime.errors import ConflictError
from workflow_runtime.plan.events import TOPIC_CHARACTERS_MAX as TOPIC_CHARACTERS_MAX  # also a limit of `Bus`
from workflow_runtime.ports.calls import Cancellable as Cancellable
from workflow_runtime.ports.calls import Clock as Clock
from workflow_runtime.ports.calls import Grouped as Grouped
from workflow_runtime.ports.calls import Offload as Offload
from workflow_runtime.ports.calls import Together as Together
from workflow_runtime.ports.calls import in_turn as in_turn
from workflow_runtime.ports.conditions import Absent as Absent
from workflow_runtime.ports.conditions import AllOf as AllOf
from workflow_runtime.ports.conditions import AnyOf as AnyOf
from workflow_runtime.ports.conditions import Attribute as Attribute
from workflow_runtime.ports.conditions import Below as Below
from workflow_runtime.ports.conditions import Between as Between
from workflow_runtime.ports.conditions import Condition as Condition
from workflow_runtime.ports.conditions import Equals as Equals
from workflow_runtime.ports.conditions import Missing as Missing
from workflow_runtime.ports.conditions import Present as Present
from workflow_runtime.ports.conditions import holds as holds
from workflow_runtime.ports.effects import BusMessage as BusMessage
from workflow_runtime.ports.effects import Effect as Effect
from workflow_runtime.ports.effects import EffectRefused as EffectRefused
from workflow_runtime.ports.effects import Outgoing as Outgoing
from workflow_runtime.ports.effects import Outlets as Outlets
from workflow_runtime.ports.effects import QueueMessage as QueueMessage
from workflow_runtime.ports.effects import TableWrite as TableWrite

ITEM_BYTES_MAX = 400 * 1024  # DynamoDB: one item, names and values together
PARTITION_KEY_BYTES_MAX = 2048  # DynamoDB
SORT_KEY_BYTES_MAX = 1024  # DynamoDB
MESSAGE_BYTES_MAX = 1024 * 1024  # SQS: one message, and one batch of them
BUS_ENTRY_BYTES_MAX = (
    1023 * 1024
)  # EventBridge: 1 MiB a PutEvents call; but in its envelope an event must fit a message
BATCH_MESSAGES_MAX = 10  # SQS: entries of a batch call; EventBridge: the same
DELAY_SECONDS_MAX = 900  # SQS: DelaySeconds
VISIBILITY_SECONDS_MAX = 12 * 3600  # SQS
SCHEDULE_NAME_CHARACTERS_MAX = 64  # EventBridge Scheduler
SCHEDULE_BODY_BYTES_MAX = 256 * 1024  # EventBridge Scheduler: a target's input
MINUTE_MS = 60_000  # EventBridge Scheduler fires within the minute
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"  # in a schedule's body: becomes the time it was due, in ISO 8601


class Key(NamedTuple):
    partition: str
    sort: str


class Item(msgspec.Struct, frozen=True):
    """A row of the table.

    - ``index``: its key in the index that carries whole items, or None to stay out of it
    - ``listing``: its key in the index that carries `LISTED_ATTRIBUTES` only, or None: for what is written so often
      that a copy of it would cost
    """

    key: Key
    attributes: dict[str, Attribute]
    index: Key | None = None
    listing: Key | None = None


IndexName: TypeAlias = Literal["index", "listing"]
"""A secondary index, by the field of `Item` that is its key."""
LISTED_ATTRIBUTES = ("status",)


class Change(msgspec.Struct, frozen=True):
    """What a change does to an item, which need not exist.

    - ``set``: attributes and their new values
    - ``add``: what is added to numeric attributes, where a missing one counts as 0
    - ``remove``: attributes that go

    No attribute is named twice, and at least one is.
    """

    set: Mapping[str, Attribute] = msgspec.field(default_factory=dict)
    add: Mapping[str, int] = msgspec.field(default_factory=dict)
    remove: tuple[str, ...] = ()


class ConditionFailed(ConflictError):
    """The condition did not hold. Our own write, its response lost, may have made it so: read, then decide.

    ``item``: of `Table.change`, the item as it was; None if there was none, and for the other calls.
    """

    def __init__(self, message: str = "", item: Item | None = None) -> None:
        super().__init__(message)
        self.item = item


class Put(msgspec.Struct, frozen=True):
    """An item that a transaction writes whole, and what must hold of the one that it replaces."""

    item: Item
    condition: Condition | None = None


class Table(Protocol):
    """One table, two secondary indexes. Reads by key are consistent unless they say otherwise; index reads are
    eventually consistent."""

    def get(self, keys: Sequence[Key], *, eventually: bool = False) -> dict[Key, Item]:
        """The items that exist among ``keys`` (any number; batched in hundreds), consistently read; or ``eventually``,
        at half the price: an item may be missing or as it was before, if it was written a moment ago."""

    def put(self, item: Item, condition: Condition | None = None) -> None:
        """Write a whole item. Raises `ConditionFailed`."""

    def put_all(self, items: Sequence[Item]) -> None:
        """Write whole items without conditions (any number; batched; not atomic)."""

    def update(
        self,
        key: Key,
        changes: Mapping[str, Attribute],
        condition: Condition,
        index: Key | None = None,
        listing: Key | None = None,
    ) -> None:
        """Set attributes of an existing item, and its keys in the indexes that are given. Raises `ConditionFailed`."""

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        """Change attributes of an item, creating it if there is none, and answer it as it is then. Raises
        `ConditionFailed`, which carries the item as it was."""

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        """Write whole items, and one of another table, all of them or none: for built-in tools whose effects are
        committed with the records of their calls, and for nothing else, as it costs twice as much as other writes.
        Raises `ConditionFailed` when a condition of ``puts`` does not hold, `EffectRefused` for what is wrong with
        ``write``: ``condition_failed``, ``not_found``, ``not_allowed``, ``validation_error``.
        """

    def delete(self, key: Key, condition: Condition) -> None:
        """Delete an existing item. Raises `ConditionFailed`."""

    def delete_all(self, keys: Sequence[Key]) -> None:
        """Delete items (any number; batched; absent ones are fine)."""

    def query(
        self, partition: str, prefix: str = "", *, descending: bool = False, limit: int | None = None, after: str = ""
    ) -> list[Item]:
        """Items of a partition whose sort key starts with ``prefix``, in sort-key order (UTF-8 bytes), consistently
        read. ``after`` (ascending only): those whose sort key is greater than this one, which starts with the prefix.

        ``limit`` None means all of them, page by page.
        """

    def query_index(
        self,
        partition: str,
        prefix: str = "",
        *,
        after: str | None = None,
        before: str | None = None,
        descending: bool = True,
        limit: int,
        of: IndexName = "index",
        where: Condition | None = None,
    ) -> list[Item]:
        """Items by index key, whose sort key starts with ``prefix`` and lies between ``after`` and ``before``, without
        these; the largest first, or the smallest; of those, ``where`` this holds, which is read and not indexed.
        """


class Blobs(Protocol):
    """Immutable byte objects under keys of our making. Writing the same key again must carry the same bytes."""

    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str) -> bytes:
        """Raises `KeyError` when there is no such object."""

    def list(self, prefix: str, after: str, limit: int) -> list[str]:
        """The next keys that start with ``prefix``, in the order of their bytes, behind ``after`` ("": the first)."""

    def renew(self, key: str) -> None:
        """Keep an object for as long as one that is written now. Raises `KeyError` when there is none."""


class Message(msgspec.Struct, frozen=True):
    """To a queue. FIFO queues need ``group`` and ``deduplication_id`` and take no delay. In a standard queue, a
    ``group`` is somebody whose many messages SQS keeps from holding up those of others (fair queues); embedded, it
    changes nothing. SQS rounds ``delay_seconds`` up to whole seconds; embedded, it is kept to the millisecond.
    """

    body: str
    group: str | None = None
    deduplication_id: str | None = None
    delay_seconds: float = 0


class BusEvent(msgspec.Struct, frozen=True):
    """To the event bus. ``detail`` is a JSON object as text."""

    source: str
    detail_type: str
    detail: str


class Refusal(msgspec.Struct, frozen=True):
    """An entry of a batch that the service refused for good: ``index`` into what was given, and why."""

    index: int
    reason: str


class Queues(Protocol):
    """Queues by their names in `topology`."""

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        """Send any number, batched by count and bytes; entries that failed for a passing reason are sent again."""

    def set_visibility(self, queue: str, seconds: Mapping[str, int]) -> None:
        """Hide received messages, by their receipt handles, for so many seconds from now (any number; batched). Stale
        receipts are ignored.
        """


class Bus(Protocol):
    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:
        """Publish any number, batched; entries that failed for a passing reason are published again."""


class Schedule(msgspec.Struct, frozen=True):
    """Sends ``body`` to ``queue``: once ``at`` a time (epoch ms, kept to the minute: earlier by up to a minute, never
    later than the service is), or repeatedly by ``expression`` (EventBridge Scheduler's ``cron(…)`` or ``rate(…)``, in
    ``timezone``). A rate counts from when it is put. A one-time schedule is gone after it fired. `SCHEDULED_TIME` in
    the body is filled in.
    """

    name: str
    queue: str
    body: str
    at: int = 0
    expression: str = ""
    timezone: str = "UTC"


class Schedules(Protocol):
    """EventBridge Scheduler, one group. Names: up to 64 of ``[0-9a-zA-Z-_.]``."""

    def put(self, schedule: Schedule) -> None:
        """Create it; one of the same name is replaced."""

    def create(self, schedule: Schedule) -> None:
        """Create it, unless there is one of the same name."""

    def delete(self, names: Sequence[str]) -> None:
        """Delete them; absent ones are fine."""


class ScheduleRunner(Protocol):
    """What EventBridge Scheduler does by itself on AWS. Used by the local pump only."""

    def next_at(self, *, recurring: bool = True, ticks: bool = True) -> int | None:
        """When the next schedule is due (epoch ms); None: there is none. Without ``recurring`` ones, one-time schedules
        are looked at only; without ``ticks``, those of the topology are not.
        """

    def fire(self) -> None:
        """Send the messages of all schedules that are due."""


class SqsRecord(msgspec.Struct, frozen=True):
    """A received message as a poller sees it; ``event_record`` is exactly what Lambda hands to a function."""

    receipt_handle: str
    event_record: dict[str, object]


class Poller(Protocol):
    """The receiving side of the queues: what Lambda's event source mappings do. Used by the local pump only."""

    def receive(self, queue: str, maximum: int) -> list[SqsRecord]:
        """Up to ``maximum`` (≤ 10) visible messages, hidden from now for the queue's visibility timeout.

        FIFO: in order within a group, none of a group that has a message in flight. A message received more than the
        queue's maximum moves to its dead-letter queue instead.
        """

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None: ...

    def next_visible_at(self, *, without: str = "") -> int | None:
        """Earliest time (epoch ms) at which a message that is hidden or delayed now becomes receivable; None: there is
        none.

        A time in the past means that one is receivable now. ``without``: a queue that is not looked at.
        """


class File(NamedTuple):
    """Of `Files`. ``size``: in bytes; ``version``: tells it from what was there before or will be."""

    size: int
    version: str


class Files(Protocol):
    """What loops may read items from: objects of S3, or on one machine files in folders. Both raise `NodeError`: for a
    file that is not there or may not be read, and for one that is another than `find` found."""

    def find(self, bucket: str, key: str) -> File: ...

    def read(self, bucket: str, key: str, file: File, start: int, size: int) -> bytes: ...


SERVICE_DEFAULT = "workflow-runtime"  # what a deployment is called in traces, if nobody named it


class TraceSink(Protocol):
    """An OpenTelemetry collector. ``service``: what the deployment is called there; ``content``: whether it is to get
    what models, tools and nodes said, too."""

    service: str
    content: bool

    def send(self, body: bytes) -> None:
        """Hand over an OTLP request in JSON. Raises nothing: traces are for people, and nothing depends on them."""


class Ports(msgspec.Struct, frozen=True):
    """One backend, complete. ``boot`` names this start of an exclusive backend: leases of other boots are void ("" on
    AWS). ``traces`` None: nobody collects any.
    """

    table: Table
    blobs: Blobs
    queues: Queues
    bus: Bus
    schedules: Schedules
    files: Files
    outlets: Outlets
    clock: Clock
    offload: Offload
    boot: str = ""
    together: Together = in_turn
    grouped: Grouped = nullcontext
    traces: TraceSink | None = None
