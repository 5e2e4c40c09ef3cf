"""`ports.Table` on SQLite: attributes are one MessagePack map per row, keys compare as UTF-8 bytes, as in DynamoDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.embedded.others import OtherTables
from workflow_runtime.backends.limits import (
    EXPIRES_ATTRIBUTE,
    check_attributes,
    check_change,
    check_distinct,
    check_item_bytes,
    check_key,
    check_limit,
    check_partition,
    check_update,
    sort_key_after,
)
from workflow_runtime.ports import (
    ITEM_BYTES_MAX,
    LISTED_ATTRIBUTES,
    Absent,
    Attribute,
    Change,
    Condition,
    ConditionFailed,
    IndexName,
    Item,
    Key,
    Put,
    TableWrite,
    holds,
)

_COLUMNS = "partition, sort, attributes, index_partition, index_sort, listing_partition, listing_sort, expires_at"
_GET = f"SELECT {_COLUMNS} FROM items WHERE partition = ? AND sort = ?"
_PUT = f"""
INSERT INTO items ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    attributes = excluded.attributes, index_partition = excluded.index_partition, index_sort = excluded.index_sort,
    listing_partition = excluded.listing_partition, listing_sort = excluded.listing_sort,
    expires_at = excluded.expires_at
"""  # unlike a replacement, it leaves indexes alone in which nothing changes
_CHANGE = "UPDATE items SET attributes = ? WHERE partition = ? AND sort = ?"
_INSERT = f"INSERT INTO items ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_DELETE = "DELETE FROM items WHERE partition = ? AND sort = ?"

# MessagePack is at least half as large as DynamoDB's formula says, so small rows need no exact sum.
_SURELY_SMALL_BYTES = ITEM_BYTES_MAX // 2 - 4096

_FILTERED_PAGE = 1_000  # rows read at once where a condition leaves some out

_KEPT_ROWS_MAX = 1_024
_KEPT_BYTES_MAX = 4_096  # of a row: runs under way and headers of executions are small

_Row = tuple[str, str, bytes, str | None, str | None, str | None, str | None, int | None]

_NOWHERE = (None, None)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class EmbeddedTable:
    """See `ports.Table`.

    Small rows that were written or read not long ago are kept in memory: a run is read soon after it was claimed, the
    header of its execution again and again. Nobody else writes the table, and what of it is lost or expires is
    forgotten.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._others = OtherTables(database)
        self._kept: dict[tuple[str, str], tuple[Item, tuple[object, ...]]] = {}
        """Items as they are stored, and of their rows what indexes hold."""
        database.on_lost.append(self._kept.clear)
        database.on_expired = self._kept.clear

    def get(self, keys: Sequence[Key], *, eventually: bool = False) -> dict[Key, Item]:  # noqa: ARG002  it has one copy
        for key in keys:
            check_key(key)
        found = {}
        with self._database.lock:
            for key in keys:
                item = self._read(key)
                if item is not None:
                    found[key] = item
        return found

    def put(self, item: Item, condition: Condition | None = None) -> None:
        row = _row(item)
        with self._database.lock:
            if isinstance(condition, Absent):
                if not self._database.write(_INSERT, row):
                    raise ConditionFailed(f"{item.key.partition} {item.key.sort} exists")
                self._keep(item, row)
                return
            if condition is not None:
                _check(condition, item.key, self._read(item.key))
            self._put(item, row)

    def put_all(self, items: Sequence[Item]) -> None:
        check_distinct([item.key for item in items])
        rows = [_row(item) for item in items]
        if rows:
            with self._database.lock:
                self._database.write_all((_PUT, rows))
                self._forget(rows)

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        check_distinct([put.item.key for put in puts])
        rows = [_row(put.item) for put in puts]
        with self._database.lock:
            for put in puts:
                _check(put.condition, put.item.key, self._read(put.item.key))
            others = [self._others.statement(write)] if write is not None else []
            self._database.write_all((_PUT, rows), *others)
            self._forget(rows)

    def update(
        self,
        key: Key,
        changes: Mapping[str, Attribute],
        condition: Condition,
        index: Key | None = None,
        listing: Key | None = None,
    ) -> None:
        check_update(key, changes, condition, index, listing)
        with self._database.lock:
            item = self._read(key)
            _check(condition, key, item)
            attributes = item.attributes if item is not None else {}
            if item is not None:
                index, listing = index or item.index, listing or item.listing
            updated = Item(key, {**attributes, **changes}, index, listing)
            self._put(updated, _row(updated))

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        check_change(key, change)
        with self._database.lock:
            item = self._read(key)
            _check(condition, key, item)
            attributes = dict(item.attributes) if item is not None else {}
            attributes.update(change.set)
            for name, number in change.add.items():
                attributes[name] = _number(attributes.get(name, 0), name) + number
            for name in change.remove:
                attributes.pop(name, None)
            places = (item.index, item.listing) if item is not None else (None, None)
            changed = Item(key, attributes, *places)
            self._put(changed, _row(changed))
        return changed

    def _read(self, key: Key) -> Item | None:
        self._database.enter()
        kept = self._kept.get(key)
        if kept is not None:
            return replace(kept[0], attributes=dict(kept[0].attributes))
        row = self._database.read_one(_GET, key)
        if row is None:
            return None
        item = _item(row)
        self._keep(item, row)
        return item

    def _put(self, item: Item, row: _Row) -> None:
        kept = self._kept.get(item.key)
        is_known = kept is not None and kept[1] == row[3:]  # what indexes hold of it stays
        if not is_known or not self._database.write(_CHANGE, (row[2], *item.key)):
            self._database.write(_PUT, row)
        self._keep(item, row)

    def _keep(self, item: Item, row: _Row) -> None:
        if len(row[2]) > _KEPT_BYTES_MAX:
            self._kept.pop(item.key, None)
            return
        own = replace(item, attributes=dict(item.attributes))  # nobody else has it, so that nobody changes it
        self._kept[item.key] = own, row[3:]
        if len(self._kept) > _KEPT_ROWS_MAX:
            del self._kept[next(iter(self._kept))]

    def _forget(self, keys: Iterable[Sequence[Any]]) -> None:
        """Of keys, or of rows, which begin with them."""
        for key in keys:
            self._kept.pop((key[0], key[1]), None)

    def delete(self, key: Key, condition: Condition) -> None:
        check_key(key)
        with self._database.lock:
            _check(condition, key, self._read(key))
            self._database.write_all((_DELETE, [key]))
            self._forget([key])

    def delete_all(self, keys: Sequence[Key]) -> None:
        for key in keys:
            check_key(key)
        if keys:
            with self._database.lock:
                self._database.write_all((_DELETE, keys))
                self._forget(keys)

    def query(
        self, partition: str, prefix: str = "", *, descending: bool = False, limit: int | None = None, after: str = ""
    ) -> list[Item]:
        check_partition(partition)
        check_limit(limit)
        parameters: list[object] = [partition, after or prefix]
        sql = f"SELECT {_COLUMNS} FROM items WHERE partition = ? AND sort {'>' if after else '>='} ?"
        end = sort_key_after(prefix)
        if end is not None:
            sql += " AND sort < ?"
            parameters.append(end)
        sql += " ORDER BY sort DESC" if descending else " ORDER BY sort"
        if limit is not None:
            sql += " LIMIT ?"
            parameters.append(limit)
        with self._database.lock:
            rows = self._database.read(sql, parameters)
        return [_item(row) for row in rows]

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
        check_partition(partition)
        check_limit(limit)
        parameters: list[object] = [partition, prefix]
        sql = f"SELECT {_COLUMNS} FROM items WHERE {of}_partition = ? AND {of}_sort >= ?"
        if after is not None:
            sql += f" AND {of}_sort > ?"
            parameters.append(after)
        ends = [end for end in (sort_key_after(prefix), before) if end is not None]
        if ends:
            sql += f" AND {of}_sort < ?"
            parameters.append(min(ends))
        sql += f" ORDER BY {of}_sort {'DESC' if descending else 'ASC'} LIMIT ? OFFSET ?"
        at_once = limit if where is None else max(limit, _FILTERED_PAGE)
        found: list[Item] = []
        with self._database.lock:
            for offset in count(0, at_once):
                rows = self._database.read(sql, [*parameters, at_once, offset])
                items = (_item(row) if of == "index" else _listed(row) for row in rows)
                found += [item for item in items if where is None or holds(where, item.attributes)]
                if len(found) >= limit or len(rows) < at_once:
                    return found[:limit]
        raise AssertionError("unreachable")


def _row(item: Item) -> _Row:
    check_key(item.key)
    check_attributes(item.attributes)
    try:
        data = _encode(item.attributes)
    except OverflowError as error:
        raise ValueError("an integer is out of range: they have up to 64 bits") from error
    if len(data) > _SURELY_SMALL_BYTES:
        check_item_bytes(item)
    expires = cast("int | None", item.attributes.get(EXPIRES_ATTRIBUTE))
    if item.index is None and item.listing is None:
        return (*item.key, data, None, None, None, None, expires)
    for place in (item.index, item.listing):
        if place is not None:
            check_key(place)
    return (*item.key, data, *(item.index or _NOWHERE), *(item.listing or _NOWHERE), expires)


def _item(row: _Row) -> Item:
    partition, sort, data, index_partition, index_sort, listing_partition, listing_sort, _ = row
    index = None if index_partition is None else Key(index_partition, cast("str", index_sort))
    listing = None if listing_partition is None else Key(listing_partition, cast("str", listing_sort))
    return Item(Key(partition, sort), _decode(data), index, listing)


def _listed(row: _Row) -> Item:
    """What the narrow index carries of an item."""
    item = _item(row)
    shown = {name: item.attributes[name] for name in LISTED_ATTRIBUTES if name in item.attributes}
    return Item(item.key, shown, None, item.listing)


def _check(condition: Condition | None, key: Key, item: Item | None) -> None:
    """Raises `ConditionFailed` unless the condition holds for the item."""
    if condition is None:
        return
    if not holds(condition, item.attributes if item is not None else None):
        raise ConditionFailed(f"{key.partition} {key.sort}: not {condition}", item)


def _number(value: Attribute, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"attribute {name} is not a number, so nothing can be added to it")
    return value
