"""What DynamoDB, SQS and EventBridge refuse for good of effects, said before anything is recorded.

Sources: the quotas pages of the services, and the reference of each operation.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.events import TOPIC_CHARACTERS_MAX
from workflow_runtime.ports.effects import (
    ID_ATTRIBUTE,
    TABLE_KEY_ATTRIBUTES_MAX,
    BusMessage,
    EffectRefused,
    QueueMessage,
    TableWrite,
)

ITEM_BYTES_MAX = 400 * 1024  # DynamoDB: one item, names and values together
KEY_BYTES_MAX = (2048, 1024)  # DynamoDB: partition key, sort key
NAME_BYTES_MAX = 255  # DynamoDB: the name of an attribute of a key; others are short enough in any case
LEVELS_MAX = 32  # DynamoDB: nested attributes
CHANGED_ATTRIBUTES_MAX = 100  # their expression must stay within DynamoDB's 4 KB
NUMBER_MIN, NUMBER_MAX = 1e-130, 9.9e125  # DynamoDB: magnitudes of numbers but 0
QUEUE_BYTES_MAX = 1024 * 1024  # SQS: a message with its attributes
ATTRIBUTES_MAX = 9  # SQS: 10, of which one is ours
DELAY_SECONDS_MAX = 900  # SQS
EVENT_BYTES_MAX = 1023 * 1024  # EventBridge: 1 MiB with what it adds to a delivered event
SOURCE_CHARACTERS_MAX = 256  # EventBridge
FIFO = ".fifo"

TABLE_NAME = r"^[a-zA-Z0-9_.-]{3,255}$"
QUEUE_NAME = r"^[a-zA-Z0-9_-]{1,75}(\.fifo)?$"
MESSAGE_GROUP = r"^[!-~]{1,128}$"

_BUS = re.compile(r"[/.\-_A-Za-z0-9]{1,256}|arn:[^\s*?]{1,1600}")
_ATTRIBUTE = re.compile(r"(?!AWS\.|Amazon\.)(?![.])[A-Za-z0-9_.-]{1,256}(?<![.])", re.IGNORECASE)
_NOT_IN_MESSAGES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def refuse(text: str) -> NoReturn:
    raise EffectRefused("validation_error", text)


def check_write(write: TableWrite) -> None:
    """Raises `EffectRefused` (``validation_error``)."""
    if not re.fullmatch(TABLE_NAME, write.table):
        refuse(f"{write.table[:80]!r} cannot be the name of a table: 3 to 255 letters, digits, `_`, `.` and `-`")
    _check_key(write)
    changes = bool(write.set or write.add or write.remove)
    if (write.put is not None) + changes + write.delete != 1:
        refuse("give one of `put`, `delete`, and changes (`set`, `add`, `remove`)")
    changed = [*write.set, *write.add, *write.remove]
    if len(changed) > CHANGED_ATTRIBUTES_MAX:
        refuse(f"{len(changed)} attributes are changed, at most {CHANGED_ATTRIBUTES_MAX} can be")
    if twice := sorted(name for name, count in Counter(changed).items() if count > 1):
        refuse(f"the attribute {twice[0]!r} is changed twice")
    names = [*(write.put or ()), *changed]
    needs = write.needs if isinstance(write.needs, dict) else {}
    if write.needs == {} or len(needs) > CHANGED_ATTRIBUTES_MAX:
        refuse(f"`needs` is `absent`, `present`, or has 1 to {CHANGED_ATTRIBUTES_MAX} attributes")
    for name in (*names, *needs):
        if not 1 <= _bytes(name) <= 64 * 1024:
            refuse("an attribute has a name of 1 to 65,536 bytes")
    for name in names:
        if name in write.key:
            refuse(f"the attribute {name!r} is part of the key, which says which item it is")
    size = 0
    for values in (write.key, write.put or {}, write.set, write.add, needs):
        size += sum(_bytes(name) + _checked_bytes(value, name) for name, value in values.items())
    if size > ITEM_BYTES_MAX:
        refuse(f"the item has {size:,} bytes, more than the {ITEM_BYTES_MAX:,} that an item may have")


def _check_key(write: TableWrite) -> None:
    if not 1 <= len(write.key) <= TABLE_KEY_ATTRIBUTES_MAX:
        refuse("`key` has one attribute, or two: the partition key, and the sort key")
    for (name, value), bytes_max in zip(write.key.items(), KEY_BYTES_MAX, strict=False):
        if not 1 <= _bytes(name) <= NAME_BYTES_MAX:
            refuse(f"an attribute of `key` has a name of 1 to {NAME_BYTES_MAX} bytes")
        if isinstance(value, str) and not 1 <= _bytes(value) <= bytes_max:
            refuse(f"`key`: {name!r} is a text of 1 to {bytes_max} bytes, or a number")


def _checked_bytes(value: Json, name: str, levels: int = 1) -> int:
    """The size of a value, about as DynamoDB counts it. Raises `EffectRefused`."""
    if levels > LEVELS_MAX:
        refuse(f"{name!r} is nested more than {LEVELS_MAX} levels deep, which a table does not take")
    match value:
        case None | bool():
            return 1
        case int() | float():
            if value and not NUMBER_MIN <= abs(value) <= NUMBER_MAX:
                refuse(f"{name!r}: {value:g} is beyond the numbers that a table takes")
            return len(str(value)) // 2 + 2
        case str():
            try:
                return len(value.encode())
            except UnicodeEncodeError:
                refuse(f"{name!r} holds half of a surrogate pair")
        case list():
            return 3 + sum(1 + _checked_bytes(each, name, levels + 1) for each in value)
    return 3 + sum(1 + _bytes(key) + _checked_bytes(each, name, levels + 1) for key, each in value.items())


def _bytes(text: str) -> int:
    """In UTF-8; half of a surrogate pair, which has no bytes, counts as a character of one."""
    return len(text.encode(errors="replace"))


def check_message(message: QueueMessage) -> None:
    """Raises `EffectRefused` (``validation_error``)."""
    if not re.fullmatch(QUEUE_NAME, message.queue):
        name = message.queue[:90]
        refuse(f"{name!r} cannot be the name of a queue: 1 to 75 letters, digits, `_` and `-`, and perhaps `{FIFO}`")
    if len(message.attributes) > ATTRIBUTES_MAX:
        refuse(f"a message has at most {ATTRIBUTES_MAX} attributes")
    for name, value in message.attributes.items():
        if not _ATTRIBUTE.fullmatch(name):
            refuse(f"{name[:80]!r} cannot be the name of a message's attribute")
        if not value:
            refuse(f"the attribute {name!r} is empty, which no queue takes")
    if not message.body:
        refuse("the body is empty, which no queue takes")
    if any(_NOT_IN_MESSAGES.search(text) for text in (message.body, *message.attributes.values())):
        refuse("the message holds a character that no queue takes")
    size = len(message.body.encode()) + sum(len(part.encode()) for part in _parts(message))
    if size > QUEUE_BYTES_MAX:
        refuse(f"the message has {size:,} bytes, more than {QUEUE_BYTES_MAX:,}")
    is_fifo = message.queue.endswith(FIFO)
    if is_fifo and message.group is None:
        refuse("a FIFO queue needs a `group`: messages of one group arrive in the order in which they were sent")
    if message.group is not None and not re.fullmatch(MESSAGE_GROUP, message.group):
        refuse("`group` has 1 to 128 ASCII letters, digits and punctuation")
    if is_fifo and message.delay_seconds:
        refuse("a FIFO queue takes no delay of a single message")
    if not 0 <= message.delay_seconds <= DELAY_SECONDS_MAX:
        refuse(f"a message is delayed by at most {DELAY_SECONDS_MAX} seconds, not {message.delay_seconds}")


def _parts(message: QueueMessage) -> Iterator[str]:
    for name, value in {**message.attributes, ID_ATTRIBUTE: message.id}.items():
        yield from (name, value, "String")


def deduplication_id(message: QueueMessage) -> str:
    """In a FIFO queue: the same message is taken once within five minutes. One that a new attempt fills with another
    task token is another message, although its id is the same."""
    return hashlib.sha256(f"{message.id}:{message.body}".encode()).hexdigest()


def check_event(event: BusMessage) -> None:
    """Raises `EffectRefused` (``validation_error``)."""
    if event.bus and not _BUS.fullmatch(event.bus):
        refuse(f"{event.bus[:80]!r} is neither the name nor the ARN of a bus")
    if not 0 < len(event.topic) <= TOPIC_CHARACTERS_MAX:
        refuse(f"`topic` must have 1 to {TOPIC_CHARACTERS_MAX} characters")
    if not 0 < len(event.source) <= SOURCE_CHARACTERS_MAX:
        refuse(f"`source` must have 1 to {SOURCE_CHARACTERS_MAX} characters")
    size = sum(map(_bytes, (event.detail, event.topic, event.source)))
    if size > EVENT_BYTES_MAX:
        refuse(f"the event has {size:,} bytes, more than {EVENT_BYTES_MAX:,}")
