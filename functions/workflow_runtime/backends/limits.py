"""What SQS, DynamoDB, EventBridge and S3 refuse for good, checked before a call is made.

Both adapter sets use these checks: what is refused is refused in the same words, and no call is spent on it.
Sources: the quotas pages of the services; the numbers themselves are constants of `ports`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from workflow_runtime.deployment.topology import Queue
from workflow_runtime.language.schedules import next_time
from workflow_runtime.ports import (
    BUS_ENTRY_BYTES_MAX,
    DELAY_SECONDS_MAX,
    ITEM_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    PARTITION_KEY_BYTES_MAX,
    SCHEDULE_BODY_BYTES_MAX,
    SCHEDULE_NAME_CHARACTERS_MAX,
    SCHEDULED_TIME,
    SORT_KEY_BYTES_MAX,
    TOPIC_CHARACTERS_MAX,
    VISIBILITY_SECONDS_MAX,
    Absent,
    Attribute,
    BusEvent,
    Change,
    Condition,
    Item,
    Key,
    Message,
    Schedule,
)

PARTITION_ATTRIBUTE = "pk"
SORT_ATTRIBUTE = "sk"
INDEX_PARTITION_ATTRIBUTE = "index_pk"
INDEX_SORT_ATTRIBUTE = "index_sk"
LISTING_PARTITION_ATTRIBUTE = "listing_pk"
LISTING_SORT_ATTRIBUTE = "listing_sk"
EXPIRES_ATTRIBUTE = "expires_at"  # epoch seconds from which DynamoDB may delete the item (its time to live)
KEY_ATTRIBUTES = frozenset(
    {
        PARTITION_ATTRIBUTE,
        SORT_ATTRIBUTE,
        INDEX_PARTITION_ATTRIBUTE,
        INDEX_SORT_ATTRIBUTE,
        LISTING_PARTITION_ATTRIBUTE,
        LISTING_SORT_ATTRIBUTE,
    }
)

BLOB_KEY_BYTES_MAX = 1024  # S3: object keys
SOURCE_CHARACTERS_MAX = 256  # EventBridge: Source
INTEGER_MIN = -(1 << 63)  # less than DynamoDB's 38 digits: what every backend carries
INTEGER_MAX = (1 << 64) - 1

_ATTRIBUTE_TYPES = frozenset({str, int, bytes, bool, type(None)})
_UTF8_BYTES_MAX = 4  # of one character
_SURELY_SHORT_CHARS = min(PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX) // _UTF8_BYTES_MAX
# SQS takes #x9 | #xA | #xD | #x20-#xD7FF | #xE000-#xFFFD | #x10000-#x10FFFF; these are the others that UTF-8 can carry.
_FORBIDDEN_CONTROLS = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_FORBIDDEN_SEQUENCES = ("\ufffe".encode(), "\uffff".encode())
_FIFO_ID = re.compile(r"[!-~]{1,128}")  # alphanumeric and ASCII punctuation; no space
_SCHEDULE_NAME = re.compile(rf"[0-9A-Za-z_.-]{{1,{SCHEDULE_NAME_CHARACTERS_MAX}}}")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_key(key: Key) -> None:
    """Raises `ValueError` for an empty or overlong part (bytes of UTF-8)."""
    if 0 < len(key.partition) <= _SURELY_SHORT_CHARS and 0 < len(key.sort) <= _SURELY_SHORT_CHARS:
        return
    _check_key_part("partition key", key.partition, PARTITION_KEY_BYTES_MAX)
    _check_key_part("sort key", key.sort, SORT_KEY_BYTES_MAX)


def check_partition(partition: str) -> None:
    _check_key_part("partition key", partition, PARTITION_KEY_BYTES_MAX)


def _check_key_part(name: str, value: str, bytes_max: int) -> None:
    if not value:
        raise ValueError(f"the {name} is empty")
    if len(value) * _UTF8_BYTES_MAX > bytes_max and len(value.encode()) > bytes_max:
        raise ValueError(f"the {name} has {len(value.encode())} bytes, more than {bytes_max}: {value[:64]}…")


def check_distinct(keys: Sequence[Key]) -> None:
    """Raises `ValueError` when a batch of writes names a key twice: which one would win is nobody's choice."""
    if len(set(keys)) != len(keys):
        raise ValueError("a batch of writes names one key twice")


def check_update(
    key: Key, changes: Mapping[str, Attribute], condition: Condition, index: Key | None, listing: Key | None
) -> None:
    """Raises `ValueError` for an update of an item that may not exist, one without changes, and as `check_key` and
    `check_attributes` do."""
    if isinstance(condition, Absent):
        raise ValueError("an update is of an item that exists")
    given = [place for place in (index, listing) if place is not None]
    if not changes and not given:
        raise ValueError("an update without changes")
    check_key(key)
    check_attributes(changes)
    for place in given:
        check_key(place)


def check_change(key: Key, change: Change) -> None:
    """Raises `ValueError` for a change of nothing, one that names an attribute twice, and as `check_key` and
    `check_attributes` do."""
    named = [*change.set, *change.add, *change.remove]
    if not named or len(set(named)) != len(named):
        raise ValueError("a change names each of its attributes once, and at least one")
    check_key(key)
    check_attributes({**change.set, **change.add, **dict.fromkeys(change.remove)})


def check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ValueError(f"a limit is at least 1, not {limit}")


def check_attributes(attributes: Mapping[str, Attribute]) -> None:
    """Raises `ValueError` for names that keys use, empty names and values of other types.

    Integers outside `INTEGER_MIN` to `INTEGER_MAX` are refused where they are encoded.
    """
    if not KEY_ATTRIBUTES.isdisjoint(attributes) or "" in attributes:
        raise ValueError(f"attributes may not be named {', '.join(sorted(KEY_ATTRIBUTES))} or nothing")
    if not _ATTRIBUTE_TYPES.issuperset(map(type, attributes.values())):
        for name, value in attributes.items():  # subclasses such as StrEnum are fine
            if not isinstance(value, (str, int, bytes, type(None))):
                raise ValueError(
                    f"attribute {name} is a {type(value).__name__}, not text, integer, bytes, boolean or None"
                )


def item_bytes(item: Item) -> int:
    """Size by DynamoDB's formula: names and values in UTF-8; a number takes a byte per two digits, and one more."""
    total = len(PARTITION_ATTRIBUTE) + len(item.key.partition.encode())
    total += len(SORT_ATTRIBUTE) + len(item.key.sort.encode())
    if item.index is not None:
        total += len(INDEX_PARTITION_ATTRIBUTE) + len(item.index.partition.encode())
        total += len(INDEX_SORT_ATTRIBUTE) + len(item.index.sort.encode())
    return total + sum(len(name.encode()) + _value_bytes(value) for name, value in item.attributes.items())


def _value_bytes(value: Attribute) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if value is None or isinstance(value, bool):
        return 1
    return (len(str(abs(value))) + 1) // 2 + 1 + (value < 0)


def check_item_bytes(item: Item) -> None:
    """Raises `ValueError` when the item is larger than DynamoDB stores."""
    size = item_bytes(item)
    if size > ITEM_BYTES_MAX:
        raise ValueError(f"item {item.key.partition} {item.key.sort} has {size} bytes, more than {ITEM_BYTES_MAX}")


def check_visibility(seconds: int) -> None:
    if not 0 <= seconds <= VISIBILITY_SECONDS_MAX:
        raise ValueError(f"a visibility timeout is 0 to {VISIBILITY_SECONDS_MAX} seconds, not {seconds}")


def check_blob_key(key: str) -> None:
    _check_key_part("blob key", key, BLOB_KEY_BYTES_MAX)


def message_refusal(queue: Queue, message: Message) -> str | None:
    """Why SQS would refuse the message for good; None when it would not."""
    try:
        body = message.body.encode()
    except UnicodeEncodeError:
        return "the body holds half of a surrogate pair"
    if not body:
        return "the body is empty"
    if len(body) > MESSAGE_BYTES_MAX:
        return f"the body has {len(body)} bytes, more than {MESSAGE_BYTES_MAX}"
    if len(body.translate(None, _FORBIDDEN_CONTROLS)) != len(body) or any(bad in body for bad in _FORBIDDEN_SEQUENCES):
        return "the body holds a character that SQS does not take"
    if queue.fifo:
        return _fifo_refusal(message)
    if message.deduplication_id is not None:
        return "a standard queue takes no deduplication id"
    if message.group is not None and not _FIFO_ID.fullmatch(message.group):
        return "a group has 1 to 128 ASCII letters, digits and punctuation"
    if not 0 <= message.delay_seconds <= DELAY_SECONDS_MAX:
        return f"a delay is 0 to {DELAY_SECONDS_MAX} seconds, not {message.delay_seconds}"
    return None


def _fifo_refusal(message: Message) -> str | None:
    if message.delay_seconds:
        return "a FIFO queue takes no delay of a single message"
    if message.group is None or not _FIFO_ID.fullmatch(message.group):
        return "a FIFO queue needs a group of 1 to 128 ASCII letters, digits and punctuation"
    if message.deduplication_id is None or not _FIFO_ID.fullmatch(message.deduplication_id):
        return "a FIFO queue needs a deduplication id of 1 to 128 ASCII letters, digits and punctuation"
    return None


def event_bytes(event: BusEvent) -> int:
    """Size of an entry by EventBridge's formula (no time and no resources given)."""
    return len(event.source.encode()) + len(event.detail_type.encode()) + len(event.detail.encode())


def event_refusal(event: BusEvent) -> str | None:
    """Why EventBridge would refuse the event for good; None when it would not."""
    if not 0 < len(event.source) <= SOURCE_CHARACTERS_MAX or event.source.startswith("aws."):
        return f"the source needs 1 to {SOURCE_CHARACTERS_MAX} characters and may not start with aws."
    if not 0 < len(event.detail_type) <= TOPIC_CHARACTERS_MAX:
        return f"the detail type needs 1 to {TOPIC_CHARACTERS_MAX} characters"
    try:
        size = event_bytes(event)
        _OBJECT.decode(event.detail)
    except (UnicodeEncodeError, msgspec.DecodeError):
        return "the detail is not a JSON object"
    if size > BUS_ENTRY_BYTES_MAX:
        return f"the event has {size} bytes, more than {BUS_ENTRY_BYTES_MAX}"
    return None


def sort_key_after(prefix: str) -> str | None:
    """The least text above every text that starts with ``prefix``, in UTF-8 byte order; None when there is none."""
    while prefix:
        code = ord(prefix[-1])
        if code < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if code == 0xD7FF else code + 1)  # surrogates are not characters
        prefix = prefix[:-1]
    return None


def check_schedule(schedule: Schedule, queues: Collection[str]) -> None:
    """Raises `ValueError` for what EventBridge Scheduler would not take, and for a queue that is not there."""
    if not _SCHEDULE_NAME.fullmatch(schedule.name):
        raise ValueError(f"{schedule.name!r} cannot be the name of a schedule")
    if schedule.queue not in queues:
        raise ValueError(f"there is no queue {schedule.queue}")
    if not 1 <= len(schedule.body.encode()) <= SCHEDULE_BODY_BYTES_MAX:
        raise ValueError(f"the body of schedule {schedule.name} has {len(schedule.body.encode())} bytes")
    if schedule.expression:
        next_time(schedule.expression, schedule.timezone, 0)


def scheduled_body(body: str, at: int) -> str:
    """What is sent for a schedule that was due ``at`` (epoch ms)."""
    time = datetime.fromtimestamp(at // 1000, UTC)
    return body.replace(SCHEDULED_TIME, time.strftime("%Y-%m-%dT%H:%M:%SZ"))
