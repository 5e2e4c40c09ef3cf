"""What a deployed runtime has counted, in sums that many processes add to: by workflow, in several shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from workflow_runtime.ports import Change, Table, Together
from workflow_runtime.storage import keys

SHARDS = 8  # an item takes 1,000 writes a second, and a process writes to it once in some seconds
SERIES_MAX = 80  # of one update: an expression of DynamoDB has 4 KB, and each takes some 40 bytes


class CounterStore:
    """``shard``: the one that this process writes to."""

    def __init__(self, table: Table, together: Together, shard: int) -> None:
        self._table = table
        self._together = together
        self._shard = shard % SHARDS

    def add(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add to the sums, by workflow and series. Raises `RetryableError`."""
        for workflow, of in counts.items():
            for part in _parts(of):
                change = Change(set={"workflow": workflow}, add={_column(series): of[series] for series in part})
                self._table.change(keys.counters(self._shard, workflow), change)

    def read(self) -> dict[str, Counter[str]]:
        """The sums by workflow and series. Raises `RetryableError`."""
        shards: list[dict[str, Counter[str]]] = [{} for _ in range(SHARDS)]

        def read(number: int) -> None:
            for item in self._table.query(keys.counters(number, "").partition):
                sums = Counter(
                    {
                        name.removeprefix(COLUMN): int(value)
                        for name, value in item.attributes.items()
                        if name.startswith(COLUMN) and isinstance(value, int)
                    }
                )
                shards[number][str(item.attributes["workflow"])] = sums

        self._together([partial(read, number) for number in range(SHARDS)])
        found: dict[str, Counter[str]] = {}
        for shard in shards:
            for workflow, sums in shard.items():
                found.setdefault(workflow, Counter()).update(sums)
        return found


COLUMN = "c\x1f"  # begins the names of attributes that are sums


def _column(series: str) -> str:
    return COLUMN + series


def _parts(of: Mapping[str, int]) -> Iterator[Sequence[str]]:
    names = iter(of)
    while part := list(islice(names, SERIES_MAX)):
        yield part
