"""Tables of a state that may be long: a turn copies them at the price of what has changed, not of all they hold.

`forked` copies a short table. Of a long one it makes a `Layered` table: the entries as they were, shared and never
changed again, under a layer of changes. Once the changes are many they are merged, so that a copy costs the square root
of the table on average, and a look-up two or three steps always.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from itertools import chain, filterfalse
from math import isqrt
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SHORT_MAX = 64  # entries: up to here a plain copy costs less than layers do


def forked(table: MutableMapping[K, V]) -> MutableMapping[K, V]:
    """An independent table with the same entries in the same order. ``table`` itself must not be changed any more."""
    if isinstance(table, dict):
        return table.copy() if len(table) <= SHORT_MAX else Layered(table)
    assert isinstance(table, Layered)
    return table.copy() if table.changes_count <= max(SHORT_MAX, isqrt(len(table))) else forked(table.merged())


class Layered(MutableMapping[K, V]):
    """Entries in the order of a dict. Every key of ``base`` is as it was there, or in one of ``changed`` and ``gone``.
    In ``added`` are those that are not in ``base``, and those that were set again after they had gone.
    """

    __slots__ = ("_added", "_base", "_changed", "_gone")

    def __init__(self, base: dict[K, V]) -> None:
        self._base = base
        self._changed: dict[K, V] = {}
        self._gone: set[K] = set()
        self._added: dict[K, V] = {}

    @property
    def changes_count(self) -> int:
        return len(self._changed) + len(self._gone) + len(self._added)

    def copy(self) -> Layered[K, V]:
        copied = Layered(self._base)
        copied._changed = self._changed.copy()
        copied._gone = self._gone.copy()
        copied._added = self._added.copy()
        return copied

    def merged(self) -> dict[K, V]:
        found = self._base | self._changed
        for key in self._gone:
            del found[key]
        found.update(self._added)
        return found

    def __getitem__(self, key: K) -> V:
        if key in self._added:
            return self._added[key]
        if key in self._gone:
            raise KeyError(key)
        return self._changed[key] if key in self._changed else self._base[key]

    def __contains__(self, key: object) -> bool:
        return key in self._added or (key in self._base and key not in self._gone)

    def __setitem__(self, key: K, value: V) -> None:
        stays = key in self._base and key not in self._gone
        (self._changed if stays else self._added)[key] = value

    def __delitem__(self, key: K) -> None:
        if key in self._added:
            del self._added[key]
        elif key in self:
            self._gone.add(key)
            self._changed.pop(key, None)
        else:
            raise KeyError(key)

    def pop(self, key: K, *default: Any) -> Any:
        """As of a dict. Most keys that are asked for are not there, and an exception costs more than looking first."""
        if default and key not in self:
            return default[0]
        return super().pop(key)

    def __iter__(self) -> Iterator[K]:
        return chain(filterfalse(self._gone.__contains__, self._base) if self._gone else self._base, self._added)

    def __len__(self) -> int:
        return len(self._base) - len(self._gone) + len(self._added)

    def values(self) -> ValuesView[V]:
        """The values as they are now."""
        return self.merged().values()

    def items(self) -> ItemsView[K, V]:
        """The entries as they are now."""
        return self.merged().items()

    def clear(self) -> None:
        self._base, self._changed, self._gone, self._added = {}, {}, set(), {}


def plain(table: object) -> object:
    """A table as it is encoded. Raises `TypeError`."""
    if isinstance(table, Layered):
        return table.merged()
    raise TypeError(f"{type(table).__name__} has no stored form")
