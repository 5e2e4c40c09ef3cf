"""What a deployed runtime has counted, in sums that many processes add to: by workflow, in several shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from workflow_runtime.ports import Change, Item, Table, Together
from workflow_runtime.storage import keys

SHARDS = 8  # an item takes 1,000 writes a second, and a process writes to it once in some seconds
SERIES_MAX = 80  # of one update: an expression of DynamoDB has 4 KB, and each takes some 40 bytes


class CounterStore:
    """``shard``: the one that this process writes to."""

    def __init__(self, table: Table, together: Together, shard: int) -> None:
        self._table = table
        self._together = together
        self._shard = shard % SHARDS

    def add(self, workflow: str, counts: Mapping[str, int]) -> Counter[str]:
        """Add to the sums of a workflow, by series, `SERIES_MAX` at most: what these are then, in this process' shard.
        Raises `RetryableError`, `ValueError`."""
        change = Change(set={"workflow": workflow}, add={COLUMN + series: value for series, value in counts.items()})
        return _sums(self._table.change(keys.counters(self._shard, workflow), change))

    def own(self, workflow: str) -> Counter[str]:
        """The sums of a workflow in this process' shard. Raises `RetryableError`."""
        key = keys.counters(self._shard, workflow)
        item = self._table.get([key]).get(key)
        return _sums(item) if item is not None else Counter()

    def read(self) -> dict[str, Counter[str]]:
        """The sums by workflow and series. Raises `RetryableError`."""
        shards: list[dict[str, Counter[str]]] = [{} for _ in range(SHARDS)]

        def read(number: int) -> None:
            for item in self._table.query(keys.counters(number, "").partition):
                shards[number][str(item.attributes["workflow"])] = _sums(item)

        self._together([partial(read, number) for number in range(SHARDS)])
        found: dict[str, Counter[str]] = {}
        for shard in shards:
            for workflow, sums in shard.items():
                found.setdefault(workflow, Counter()).update(sums)
        return found


COLUMN = "c\x1f"  # begins the names of attributes that are sums


def _sums(item: Item) -> Counter[str]:
    return Counter(
        {
            name.removeprefix(COLUMN): int(value)
            for name, value in item.attributes.items()
            if name.startswith(COLUMN) and isinstance(value, int)
        }
    )
