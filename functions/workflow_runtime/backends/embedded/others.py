"""What stands for the tables, queues and buses of others on one machine: they are kept in the database, to be looked
at. Nothing leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import BusMessage, Clock, EffectRefused, QueueMessage, TableWrite
from workflow_runtime.ports.effect_checks import FIFO, check_event, check_message, check_write, deduplication_id

DEDUPLICATION_MS = 5 * 60_000  # SQS: of a FIFO queue

_READ = "SELECT item FROM other_items WHERE name = ? AND key = ?"
_ANY_KEY = "SELECT key FROM other_items WHERE name = ? LIMIT 1"
_PUT = "INSERT OR REPLACE INTO other_items (name, key, item) VALUES (?, ?, ?)"
_DELETE = "DELETE FROM other_items WHERE name = ? AND key = ?"
_ITEMS = "SELECT item FROM other_items WHERE name = ? ORDER BY key"
_SENT = "SELECT 1 FROM other_messages WHERE kind = ? AND name = ? AND identity = ? AND sent_at > ? LIMIT 1"
_SEND = "INSERT INTO other_messages (kind, name, identity, sent_at, message) VALUES (?, ?, ?, ?, ?)"
_MESSAGES = "SELECT message FROM other_messages WHERE kind = ? AND name = ? ORDER BY id"
_QUEUE, _BUS = "queue", "bus"

Statement = tuple[str, list[tuple[object, ...]]]


class OtherTables:
    """Tables of others, each made by the first write of it: that says what its key consists of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def statement(self, write: TableWrite) -> Statement:
        """What carries the write out, in the transaction that reads now. Raises `EffectRefused`."""
        check_write(write)
        self._check_key(write)
        key = _key_text(write.key)
        row = self._database.read_one(_READ, (write.table, key))
        before = msgspec.json.decode(row[0]) if row is not None else None
        if not _holds(write, before):
            raise EffectRefused("condition_failed", f"table {write.table}: the item is not as `needs` says")
        if write.delete:
            return _DELETE, [(write.table, key)]
        item = {**write.key, **write.put} if write.put is not None else _changed(write, before)
        check_write(TableWrite(table=write.table, key=write.key, put=_beside(item, write.key)))  # it may have grown
        return _PUT, [(write.table, key, msgspec.json.encode(item))]

    def items(self, table: str) -> list[dict[str, Json]]:
        """All items of a table, by their keys."""
        with self._database.lock:
            rows = self._database.read(_ITEMS, (table,))
        return [msgspec.json.decode(row[0]) for row in rows]

    def _check_key(self, write: TableWrite) -> None:
        row = self._database.read_one(_ANY_KEY, (write.table,))
        if row is None:
            return
        known = msgspec.json.decode(row[0])
        if _shape(known) != _shape(write.key):
            attributes = ", ".join(f"`{name}` ({kind})" for name, kind in _shape(known))
            raise EffectRefused("validation_error", f"table {write.table}: the key consists of {attributes}")


class EmbeddedOutlets:
    """See `ports.Outlets`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def send_message(self, message: QueueMessage) -> None:
        check_message(message)
        self._keep(_QUEUE, message.queue, deduplication_id(message), message, once=message.queue.endswith(FIFO))

    def put_event(self, event: BusMessage) -> None:
        check_event(event)
        self._keep(_BUS, event.bus, event.id, event)

    def messages(self, queue: str) -> list[QueueMessage]:
        """What was sent to a queue, in order."""
        return self._kept(_QUEUE, queue, QueueMessage)

    def events(self, bus: str) -> list[BusMessage]:
        """What was published on a bus, in order."""
        return self._kept(_BUS, bus, BusMessage)

    def _keep(self, kind: str, name: str, identity: str, message: msgspec.Struct, *, once: bool = False) -> None:
        now = self._clock.now()
        with self._database.lock:
            if once and self._database.read_one(_SENT, (kind, name, identity, now - DEDUPLICATION_MS)) is not None:
                return
            self._database.write(_SEND, (kind, name, identity, now, msgspec.json.encode(message)))

    def _kept(self, kind: str, name: str, type: Any) -> list[Any]:
        with self._database.lock:
            rows = self._database.read(_MESSAGES, (kind, name))
        return [msgspec.json.decode(row[0], type=type) for row in rows]


def _key_text(key: Mapping[str, Json]) -> str:
    """The same for keys that are the same: numbers are by their value, and the partition key stands first."""
    return msgspec.json.encode({name: _plain(value) for name, value in key.items()}).decode()


def _plain(value: Json) -> Json:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shape(key: Mapping[str, Json]) -> list[tuple[str, str]]:
    return [(name, "text" if isinstance(value, str) else "number") for name, value in key.items()]


def _beside(item: Mapping[str, Json], key: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in item.items() if name not in key}


def _holds(write: TableWrite, before: Mapping[str, Json] | None) -> bool:
    match write.needs:
        case None:
            return True
        case "absent":
            return before is None
        case "present":
            return before is not None
    found = before or {}
    return all(name in found and _same(found[name], value) for name, value in write.needs.items())


def _same(one: Json, other: Json) -> bool:
    """By type and value, as DynamoDB compares: `true` is not a number."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case (dict(), dict()):
            return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
        case (list(), list()):
            return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _changed(write: TableWrite, before: Mapping[str, Json] | None) -> dict[str, Json]:
    item = {**(before or {}), **write.key, **write.set}
    for name, number in write.add.items():
        current = item.get(name, 0)
        if isinstance(current, bool) or not isinstance(current, (int, float)):
            message = f"table {write.table}: the attribute {name!r} is not a number, so nothing can be added to it"
            raise EffectRefused("validation_error", message)
        total = Decimal(repr(current)) + Decimal(repr(number))
        item[name] = int(total) if total == total.to_integral_value() else float(total)
    return {name: value for name, value in item.items() if name not in write.remove}
