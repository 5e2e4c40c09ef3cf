"""How long executions are kept: no write of its own for any of them, and nothing of one that lives is lost.

Whatever is written for an execution, items and objects alike, is written to expire after twice the retention. Once in a
retention the sweep has all of a running execution kept for as long again. So an ended one is gone between one and two
retentions after its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from workflow_runtime.deployment.settings import RETENTION_DAYS
from workflow_runtime.ports import (
    Attribute,
    Blobs,
    Change,
    Condition,
    ConditionFailed,
    Item,
    Key,
    Present,
    Put,
    Table,
    TableWrite,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpacked

DAY_MS = 24 * 3600 * 1000
RENEWED_AT_ONCE = 500  # items and objects; the rest at the next look: a sweep has others to look after
PAGE = 100  # items or objects read at once
REOPENING_DAYS_MIN = 1  # before what is to go on may expire: the next sweeps renew it
_EXECUTIONS, _OBJECTS = "EX#", "executions/"
_OBJECTS_LEFT = "~"  # behind all sort keys: a place among the objects follows
SHORT_LIVED = ("APPLIED#", "REQUEST#")  # sort keys of what has a time of its own
_HOLDING_EVENTS = (keys.HELD_PREFIX, keys.JOURNAL_PREFIX)  # those of the journal, and of the state behind it
_OBJECT = re.compile(rb'"(executions/[^"/\\]{1,64}/[^"\\]{1,200})"')  # the key of a large value, in JSON


class Retention:
    """``days``: what the deployment chose; ``now``: epoch ms."""

    def __init__(self, now: Callable[[], int], days: int = RETENTION_DAYS) -> None:
        self._now = now
        self._ms = days * DAY_MS

    def expiry(self) -> int:
        """Of what is written now, in epoch seconds."""
        return (self._now() + 2 * self._ms) // 1000

    def is_due(self, renewed_at: int) -> bool:
        """Whether what was last renewed then (epoch ms) is to be renewed."""
        return renewed_at + self._ms <= self._now()

    def may_reopen(self, ended_at: int) -> bool:
        """Whether all of an execution that ended then (epoch ms) is there, and stays until the sweep renews it."""
        margin = min(REOPENING_DAYS_MIN * DAY_MS, self._ms // 4)
        return self._now() < ended_at + self._ms - margin


class ExpiringTable:
    """`ports.Table` that writes items of executions to expire, unless they have a time of their own."""

    def __init__(self, table: Table, retention: Retention) -> None:
        self._table = table
        self._retention = retention
        self.get = table.get
        self.delete = table.delete
        self.delete_all = table.delete_all
        self.query = table.query
        self.query_index = table.query_index

    def put(self, item: Item, condition: Condition | None = None) -> None:
        self._table.put(self._expiring(item), condition)

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        self._table.transact([Put(self._expiring(put.item), put.condition) for put in puts], write)

    def put_all(self, items: Sequence[Item]) -> None:
        self._table.put_all([self._expiring(item) for item in items])

    def update(
        self,
        key: Key,
        changes: Mapping[str, Attribute],
        condition: Condition,
        index: Key | None = None,
        listing: Key | None = None,
    ) -> None:
        if key.partition.startswith(_EXECUTIONS):
            changes = {keys.EXPIRES: self._retention.expiry(), **changes}
        self._table.update(key, changes, condition, index, listing)

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        if key.partition.startswith(_EXECUTIONS) and keys.EXPIRES not in change.set:
            change = Change({keys.EXPIRES: self._retention.expiry(), **change.set}, change.add, change.remove)
        return self._table.change(key, change, condition)

    def _expiring(self, item: Item) -> Item:
        if not item.key.partition.startswith(_EXECUTIONS) or keys.EXPIRES in item.attributes:
            return item
        expiring = {**item.attributes, keys.EXPIRES: self._retention.expiry()}
        return Item(item.key, expiring, item.index, item.listing)


class Renewal:
    """Keeps all of an execution for as long again. ``table``: one that writes items to expire."""

    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def renew(self, execution_id: str, place: str = "") -> str:
        """Go on from a place, for a while; the place reached, "" when all of it is done."""
        done = 0
        while done < RENEWED_AT_ONCE:
            if place.startswith(_OBJECTS_LEFT):
                found = self._objects(execution_id, place[1:])
                place = f"{_OBJECTS_LEFT}{found[-1]}" if len(found) == PAGE else ""
                done += len(found)
                if not place:
                    return ""
            else:
                items = self._items(execution_id, place)
                place = items[-1].key.sort if len(items) == PAGE else _OBJECTS_LEFT
                done += len(items)
        return place

    def _objects(self, execution_id: str, after: str) -> Sequence[str]:
        found = self._blobs.list(objects_of(execution_id), after, PAGE)
        for key in found:
            self._renew_object(key)
        return found

    def _renew_object(self, key: str) -> None:
        with suppress(KeyError):  # deleted meanwhile, or by a retention that was longer when it was named
            self._blobs.renew(key)

    def _items(self, execution_id: str, after: str) -> Sequence[Item]:
        items = self._table.query(f"{_EXECUTIONS}{execution_id}", after=after, limit=PAGE)
        for item in items:
            if item.key.sort.startswith(SHORT_LIVED) or not item.attributes:
                continue
            for key in _objects_of_others(item, execution_id):
                self._renew_object(key)
            there = Present(next(iter(item.attributes)))  # never create what was deleted meanwhile
            with suppress(ConditionFailed):
                self._table.update(item.key, {}, there)
        return items


def objects_of(execution_id: str) -> str:
    """What the keys of an execution's large values begin with."""
    return f"{_OBJECTS}{execution_id}/"


def _objects_of_others(item: Item, execution_id: str) -> Iterator[str]:
    """Keys of large values that an item holds of a child, of the execution that this is a part of, or of one that has
    sent it an event."""
    for value in item.attributes.values():
        held: Sequence[str] = ()
        if isinstance(value, str):
            held = (value,)
        elif isinstance(value, bytes) and item.key.sort.startswith(_HOLDING_EVENTS):
            held = sorted({key.decode() for key in _OBJECT.findall(unpacked(value))})
        yield from (key for key in held if is_object_of_other(key, execution_id))


def is_object_of_other(value: str, execution_id: str) -> bool:
    """Whether an attribute of the execution is the key of a large value of another one."""
    return value.startswith(_OBJECTS) and not value.startswith(objects_of(execution_id))
