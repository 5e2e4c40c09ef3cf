"""Which events from outside an execution has taken: an item an id, for as long as repeats of it are recognised."""

from __future__ import annotations

from collections.abc import Collection

from workflow_runtime.ports import Item, Table
from workflow_runtime.storage import keys


class AppliedStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, execution_id: str, ids: Collection[str], until: int) -> None:
        """These were taken, which is to be known until then (epoch ms)."""
        expires = {keys.EXPIRES: until // 1000}
        self._table.put_all([Item(keys.applied(execution_id, id), dict(expires)) for id in ids])

    def of(self, execution_id: str, ids: Collection[str], now: int) -> frozenset[str]:
        """Those of these that were taken, as far as that is to be known ``now`` (epoch ms). Complete only when the
        newest commit is published.
        """
        wanted = {keys.applied(execution_id, id): id for id in ids}
        found = self._table.get(list(wanted)).items()
        return frozenset(wanted[key] for key, item in found if int(item.attributes[keys.EXPIRES] or 0) * 1000 > now)
