"""Lists of executions, newest first: of a workflow, or of all.

Each list stands in `SHARDS` partitions of the narrow index, so that many executions can start and end at once; reading
it merges them. A header stands in the list of its workflow and carries its status there, which costs one write unit
when it changes, and none of another key. What was written at the start, and never again, stands in the list of all.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Sequence
from functools import partial
from heapq import nlargest

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.ports import AnyOf, Condition, Equals, Item, Key, Table, Together
from workflow_runtime.storage import keys
from workflow_runtime.storage.records import Header

SHARDS = 16  # a partition takes 1,000 writes a second, an execution writes three: 5,000 executions a second a workflow
FILTERED_AT_ONCE = 100  # headers that one request reads
LOOKED_AT_MAX = 2_000  # headers read for one page of all executions in some statuses; then the page is what was found


class Wanted(msgspec.Struct, frozen=True):
    """Which executions. ``workflow_id`` None: of all workflows. ``before``: a position, or the start of one (a time in
    15 digits): only older ones; ``since`` (epoch ms): only those that were started then or later.
    """

    statuses: Collection[ExecutionStatus]
    workflow_id: str | None = None
    before: str | None = None
    since: int = 0


class Page(msgspec.Struct, frozen=True):
    """Executions, newest first. ``next``: the position from which more may be found; None: there are no more."""

    headers: tuple[Header, ...]
    next: str | None


def position(header: Header) -> str:
    """An execution's place in every list: it never changes."""
    return keys.started(header.started_at, header.execution_id)


def place_in_workflow(header: Header) -> Key:
    return Key(keys.listing(header.workflow_id, _shard(header.execution_id)), position(header))


def place_among_all(header: Header) -> Key:
    return Key(keys.listing(None, _shard(header.execution_id)), position(header))


def _shard(execution_id: str) -> int:
    return zlib.crc32(execution_id.encode()) % SHARDS


class Listing:
    """``headers``: reads those that exist, consistently; ``together``: how the partitions are read at once."""

    def __init__(self, table: Table, headers: Callable[[Sequence[str]], dict[str, Header]], together: Together) -> None:
        self._table = table
        self._headers = headers
        self._together = together

    def page(self, wanted: Wanted, limit: int) -> Page:
        """At most ``limit`` executions. Of all workflows in some statuses, fewer may be found than there are: then
        ``next`` leads on."""
        filtered = wanted.workflow_id is None and len(wanted.statuses) < len(ExecutionStatus)
        at_once = max(limit, FILTERED_AT_ONCE) if filtered else limit
        found: list[tuple[str, Header]] = []
        before, looked_at = wanted.before, 0
        while True:
            places, before = self._places(wanted, at_once, before)
            headers = self._headers(list(places.values()))
            looked_at += len(places)
            there = ((place, headers[id]) for place, id in places.items() if id in headers)
            found += [(place, header) for place, header in there if header.status in wanted.statuses]
            if len(found) > limit:
                before = found[limit - 1][0]
            if len(found) >= limit or before is None or looked_at >= LOOKED_AT_MAX:
                return Page(tuple(header for _, header in found[:limit]), before)

    def _places(self, wanted: Wanted, count: int, before: str | None) -> tuple[dict[str, str], str | None]:
        """The next ``count`` ids by their places, newest first; and the last place, None at the end of the list."""
        places = self._of_shards(wanted, count, before)
        if wanted.workflow_id is not None:
            places |= self._of_before(wanted, wanted.workflow_id, count, before)
        newest = nlargest(count + 1, places)
        last = newest[count - 1] if len(newest) > count else None
        return {place: places[place] for place in newest[:count]}, last

    def _of_shards(self, wanted: Wanted, limit: int, before: str | None) -> dict[str, str]:
        """The newest of every partition, ids by position: among them are the newest of all."""
        found: list[list[Item]] = [[] for _ in range(SHARDS)]
        after = f"{wanted.since - 1:015d}~" if wanted.since else None  # behind all that were started before
        where = _in(wanted.statuses) if wanted.workflow_id is not None else None

        def read(shard: int) -> None:
            partition = keys.listing(wanted.workflow_id, shard)
            found[shard] = self._table.query_index(
                partition, before=before, after=after, limit=limit + 1, of="listing", where=where
            )

        self._together([partial(read, shard) for shard in range(SHARDS)])
        return {item.listing.sort: _id_of(item) for items in found for item in items if item.listing is not None}

    def _of_before(self, wanted: Wanted, workflow_id: str, limit: int, before: str | None) -> dict[str, str]:
        """What deployments before this index wrote: by workflow, in the other index, with the status in the key; that
        of their start or of their last change by such a deployment.

        Goes, with the keys, a release after this one.
        """
        found: dict[str, str] = {}
        for status in ExecutionStatus:
            low = f"{status}#{wanted.since:015d}"
            items = self._table.query_index(
                keys.workflow(workflow_id).partition,
                f"{status}#",
                after=low if wanted.since else None,
                before=f"{status}#{before}" if before is not None else None,
                limit=limit + 1,
                where=_in(wanted.statuses),
            )
            found |= {item.index.sort.partition("#")[2]: _id_of(item) for item in items if item.index is not None}
        return found


def _in(statuses: Collection[ExecutionStatus]) -> Condition | None:
    if len(statuses) == len(ExecutionStatus):
        return None
    return AnyOf(tuple(Equals("status", status) for status in statuses))


def _id_of(item: Item) -> str:
    return item.key.partition.removeprefix("EX#")
