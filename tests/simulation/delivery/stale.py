"""F8: an index of the table that lags behind, as DynamoDB's do: what it answers may be as it was some writes ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from workflow_runtime.ports import Item, Key, holds

LAG_MAX = 20  # writes of items that are in the index


class StaleIndex:
    """``lag`` says at each query by how many writes the index is behind. ``answers``: how many were not as of now."""

    def __init__(self, table: Any, lag: Callable[[], int]) -> None:
        self._table = table
        self._lag = lag
        self._before: deque[tuple[Key, Item | None]] = deque(maxlen=LAG_MAX)
        self.answers = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def put(self, item: Item, *rest: Any, **named: Any) -> None:
        self._noting([item.key], lambda: self._table.put(item, *rest, **named))

    def put_all(self, items: Sequence[Item]) -> None:
        self._noting([item.key for item in items], lambda: self._table.put_all(items))

    def update(self, key: Key, *rest: Any, **named: Any) -> None:
        self._noting([key], lambda: self._table.update(key, *rest, **named))

    def delete(self, key: Key, *rest: Any, **named: Any) -> None:
        self._noting([key], lambda: self._table.delete(key, *rest, **named))

    def delete_all(self, keys: Sequence[Key]) -> None:
        self._noting(keys, lambda: self._table.delete_all(keys))

    def _noting(self, keys: Sequence[Key], write: Callable[[], object]) -> None:
        before = self._table.get(keys)
        write()
        after = self._table.get(keys)
        for key in keys:
            known = [item for item in (before.get(key), after.get(key)) if item is not None]
            if any(item.index is not None for item in known):
                self._before.append((key, before.get(key)))

    def query_index(
        self,
        partition: str,
        prefix: str = "",
        *,
        after: str | None = None,
        before: str | None = None,
        descending: bool = True,
        limit: int,
        where: Any = None,
        **named: Any,
    ) -> list[Item]:
        asked = {"after": after, "before": before, "descending": descending, "where": where, **named}
        lag = self._lag() if named.get("of", "index") == "index" else 0
        if lag == 0:
            current: list[Item] = self._table.query_index(partition, prefix, limit=limit, **asked)
            return current
        now: list[Item] = self._table.query_index(partition, prefix, limit=limit + lag, **asked)
        then = dict(list(self._before)[::-1][:lag])  # of several writes of an item, what was before the first counts

        def is_found(item: Item) -> bool:
            place = item.index
            return (
                place is not None
                and place.partition == partition
                and place.sort.startswith(prefix)
                and (after is None or place.sort > after)
                and (before is None or place.sort < before)
                and (where is None or holds(where, item.attributes))
            )

        found = [item for item in now if item.key not in then]
        found += [item for item in then.values() if item is not None and is_found(item)]
        found.sort(key=_place, reverse=descending)
        self.answers += found[:limit] != now[:limit]
        return found[:limit]


def _place(item: Item) -> str:
    assert item.index is not None
    return item.index.sort
