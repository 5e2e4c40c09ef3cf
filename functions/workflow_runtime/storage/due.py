"""When to look after which running execution: an item each, in the index by time and shard."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from workflow_runtime.ports import ConditionFailed, Equals, Item, Key, Table
from workflow_runtime.storage import keys

SHARDS = 8  # partitions of the index: one takes 1,000 writes a second
FIRST_SECONDS = 120  # after the start
SECONDS_MAX = 3600


class Due(msgspec.Struct, frozen=True):
    """``at`` (epoch ms) an execution is to be looked after, ``seconds`` after the last time."""

    execution_id: str
    at: int
    seconds: int = FIRST_SECONDS

    def next(self, now: int) -> Due:
        """After a look at ``now``: in twice as long, up to an hour."""
        seconds = min(self.seconds * 2, SECONDS_MAX)
        return Due(self.execution_id, now + seconds * 1000, seconds)


class DueStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, due: Due) -> None:
        self._table.put(_item(due))

    def list(self, shard: int, until: int, limit: int, before: Due | None = None) -> Sequence[Due]:
        """What of a shard is due ``until`` then, latest first; ``before`` continues a list."""
        end = _position(before) if before is not None else f"{until + 1:015d}"
        items = self._table.query_index(keys.due_shard(shard), "", before=end, limit=limit)
        return [_due(item) for item in items]

    def move(self, due: Due, to: Due) -> None:
        """Unless somebody else moved or removed it."""
        item = _item(to)
        try:
            self._table.update(item.key, item.attributes, Equals("at", due.at), item.index)
        except ConditionFailed:
            return

    def remove(self, execution_ids: Sequence[str]) -> None:
        self._table.delete_all([keys.execution(execution_id, keys.DUE) for execution_id in execution_ids])


def shard_of(execution_id: str) -> int:
    return zlib.crc32(execution_id.encode()) % SHARDS


def _position(due: Due) -> str:
    return f"{due.at:015d}#{due.execution_id}"


def _item(due: Due) -> Item:
    index = Key(keys.due_shard(shard_of(due.execution_id)), _position(due))
    return Item(keys.execution(due.execution_id, keys.DUE), {"at": due.at, "seconds": due.seconds}, index)


def _due(item: Item) -> Due:
    execution_id = item.key.partition.removeprefix("EX#")
    return Due(execution_id, int(item.attributes["at"] or 0), int(item.attributes["seconds"] or 0))
