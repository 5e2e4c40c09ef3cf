"""When to look after which running execution: an item each, in the index by time and shard."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from workflow_runtime.ports import Below, ConditionFailed, Equals, Item, Key, Table
from workflow_runtime.storage import keys

SHARDS = 8  # partitions of the index: one takes 1,000 writes a second
FIRST_SECONDS = 120  # after the start
SECONDS_MAX = 3600
ORDERED_SECONDS = 150  # after a commit that orders runs: longer than a lost order stays young, and not for short runs

FAR = 1 << 62


class Due(msgspec.Struct, frozen=True):
    """``at`` (epoch ms) an execution is to be looked after; regularly at times that follow from ``since``: 2, 6, 14
    minutes after that … then every hour.
    """

    execution_id: str
    at: int
    since: int

    @classmethod
    def first(cls, execution_id: str, since: int) -> Due:
        return cls(execution_id, since + FIRST_SECONDS * 1000, since)

    def next(self, now: int) -> Due:
        """The next regular time after ``now``."""
        at, _ = _regular(self.since, now)
        return Due(self.execution_id, at, self.since)

    @property
    def is_old(self) -> bool:
        """Whether it is looked after every hour by now."""
        return _regular(self.since, self.at)[1] == SECONDS_MAX


def _regular(since: int, now: int) -> tuple[int, int]:
    """The first regular time after ``now``, and how long (seconds) after the one before."""
    at, seconds = since, FIRST_SECONDS
    while True:
        at += seconds * 1000
        if at > now:
            return at, seconds
        if seconds == SECONDS_MAX:
            return at + ((now - at) // (SECONDS_MAX * 1000) + 1) * SECONDS_MAX * 1000, SECONDS_MAX
        seconds = min(seconds * 2, SECONDS_MAX)


def rearmed(execution_id: str, since: int, now: int) -> Due | None:
    """When to look after an execution that orders runs ``now``, if the regular time is later than that. It is again
    only once this one has passed: at most one write in `ORDERED_SECONDS`.
    """
    soon = now + ORDERED_SECONDS * 1000
    regular, _ = _regular(since, now)
    return Due.first(execution_id, soon - FIRST_SECONDS * 1000) if regular > soon else None


class DueStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, due: Due) -> None:
        self._table.put(_item(due))

    def list(self, shard: int, until: int, limit: int, after: Due | None = None) -> Sequence[Due]:
        """What of a shard is due ``until`` then, oldest first; ``after`` continues a list."""
        items = self._table.query_index(
            keys.due_shard(shard),
            after=_position(after) if after is not None else None,
            before=f"{until + 1:015d}",
            descending=False,
            limit=limit,
        )
        return [_due(item) for item in items]

    def move(self, due: Due, to: Due) -> None:
        """Unless somebody else moved or removed it."""
        item = _item(to)
        with suppress(ConditionFailed):
            self._table.update(item.key, item.attributes, Equals("at", due.at), item.index)

    def hasten(self, execution_id: str, now: int) -> None:
        """Have it looked after at once, and then at its regular times again."""
        index = _item(Due(execution_id, now, now)).index
        with suppress(ConditionFailed):  # it has ended
            self._table.update(keys.execution(execution_id, keys.DUE), {"at": now}, Below("at", FAR), index)

    def drop(self, due: Due) -> None:
        """Unless somebody else moved it, or put it anew."""
        with suppress(ConditionFailed):
            self._table.delete(keys.execution(due.execution_id, keys.DUE), Equals("at", due.at))

    def remove(self, execution_id: str, since: int) -> None:
        """It has ended; unless it was begun anew meanwhile, which counts from another time."""
        with suppress(ConditionFailed):
            self._table.delete(keys.execution(execution_id, keys.DUE), Equals("since", since))


def shard_of(execution_id: str) -> int:
    return zlib.crc32(execution_id.encode()) % SHARDS


def _position(due: Due) -> str:
    return f"{due.at:015d}#{due.execution_id}"


def _item(due: Due) -> Item:
    index = Key(keys.due_shard(shard_of(due.execution_id)), _position(due))
    seconds = _regular(due.since, due.at - 1)[1]  # what deployments before ``since`` go on from
    return Item(
        keys.execution(due.execution_id, keys.DUE), {"at": due.at, "since": due.since, "seconds": seconds}, index
    )


def _due(item: Item) -> Due:
    values = item.attributes
    at, seconds = int(values["at"] or 0), int(values["seconds"] or 0)
    since = int(values.get("since") or 0) or at - (2 * seconds - FIRST_SECONDS) * 1000
    return Due(item.key.partition.removeprefix("EX#"), at, since)
