"""Tables of a state that may be long: a turn copies them at the price of what has changed, not of all they hold.

`forked` copies a short table. Of a long one it makes a `Layered` table: the entries as they were, shared and never
changed again, under a layer of changes. Once the changes are many they are merged, so that a copy costs the square root
of the table on average, and a look-up two or three steps always. The longest are `Paged`, too: of them, not all need be
read.

Empty tables, lists and sets are not copied at all, but shared: something is put into them by `entered`, `appended` and
`included`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, ItemsView, Iterator, Mapping, MutableMapping, Set, ValuesView
from itertools import chain, filterfalse
from math import isqrt
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Raw

from workflow_runtime.engine.alarms import Alarms
from workflow_runtime.engine.pages import LONG_ENTRIES, PAGES_MIN, Pages, paged
from workflow_runtime.plan.addresses import static_path

K = TypeVar("K")
V = TypeVar("V")

SHORT_MAX = 64  # entries: up to here a plain copy costs less than layers do


def forked(table: MutableMapping[K, V]) -> MutableMapping[K, V]:
    """An independent table with the same entries in the same order. ``table`` itself must not be changed any more."""
    if isinstance(table, dict):
        return table.copy() if len(table) <= SHORT_MAX else Layered(table)
    # The others are of this module; whether one is an instance takes long to tell, of abstract classes.
    return table.forked()  # type: ignore[attr-defined, no-any-return]


NO_ENTRIES: Mapping[Any, Any] = MappingProxyType({})
"""What tables begin with that stay empty in most turns, and are put into by `entered` only: to make each anew takes its
time."""

NO_MEMBERS: Set[Any] = frozenset()
"""The same of sets, and `included`."""


def entered(table: Mapping[K, V], key: K, value: V) -> MutableMapping[K, V]:
    """A table with one more entry: another one if it was empty, as empty tables are shared. One that has entries must
    be the caller's own. Fields that begin with `NO_ENTRIES` are declared as `Mapping`: so nothing else may put into
    them."""
    if not table:
        return {key: value}
    table[key] = value  # type: ignore[index]
    return table  # type: ignore[return-value]


def appended(items: list[V], value: V) -> list[V]:
    """A list with one more item at its end: the same of lists."""
    if not items:
        return [value]
    items.append(value)
    return items


def included(members: Set[K], member: K) -> Set[K]:
    """The same of sets."""
    if not members:
        return {member}
    members.add(member)  # type: ignore[attr-defined]
    return members


def add(table: MutableMapping[K, V], key: K, value: V) -> None:
    """Put an entry in whose key is new: in a long table that costs less than to look whether it is there."""
    if type(table) is Opened:
        add(table.entries, key, value)
    elif isinstance(table, Layered):
        table.add(key, value)
    else:
        table[key] = value


def keys_at(table: Mapping[str, V], places: Collection[str], *, in_passes: bool = True) -> list[str]:
    """Those keys of a table that are at one of these places of the plan: equal to it but for pass numbers, which there
    are if the plan has loops (``in_passes``). In the table's order.

    A long table is not searched: it costs what is found, and only the keys with pass numbers are looked through.
    """
    if type(table) is Opened:
        return keys_at(table.entries, places, in_passes=in_passes)
    if isinstance(table, dict) or (len(places) > SHORT_MAX and len(places) > len(table)):
        return [key for key in table if (static_path(key) if "[" in key else key) in places]
    assert isinstance(table, Layered)
    found = [place for place in places if place in table]
    if in_passes:
        found += [key for key in table.passes() if static_path(key) in places]
    if len(found) < 2:
        return found
    wanted = {*found}
    return [key for key in table if key in wanted]


class Layered(MutableMapping[K, V]):
    """Entries in the order of a dict. Every key of ``base`` is as it was there, or in one of ``changed`` and ``gone``.
    In ``added`` are those that are not in ``base``, and those that were set again after they had gone.
    """

    __slots__ = ("_added", "_base", "_base_passes", "_changed", "_gone")

    def __init__(self, base: Mapping[K, V]) -> None:
        self._base = base
        self._changed: dict[K, V] = {}
        self._gone: set[K] = set()
        self._added: dict[K, V] = {}
        self._base_passes: list[K] | None = None  # of ``base``, which does not change: kept for the copies

    def forked(self) -> MutableMapping[K, V]:
        """An independent table with the same entries: under the same layer or, once its changes are many, a new one."""
        changed, gone, added = self._changed, self._gone, self._added
        count = len(changed) + len(gone) + len(added)
        if count > SHORT_MAX and count > isqrt(len(self)):
            return forked(self.merged())
        copied = object.__new__(type(self))
        copied._base = self._base
        copied._changed = changed.copy()
        copied._gone = gone.copy()
        copied._added = added.copy()
        copied._base_passes = self._base_passes
        return copied

    def merged(self) -> dict[K, V]:
        found: dict[K, V] = self._base | self._changed  # type: ignore[operator]  # it is a dict, or `Pages`
        for key in self._gone:
            del found[key]
        found.update(self._added)
        return found

    def passes(self: Layered[str, V]) -> list[str]:
        """The keys with pass numbers, in no order. For tables whose keys are paths."""
        if self._base_passes is None:
            # Most tables have none, which one look at all keys together tells sooner than one at each.
            found = "[" in "\n".join(self._base)
            self._base_passes = [key for key in self._base if "[" in key] if found else []
        added = [key for key in self._added if "[" in key]
        return [*filterfalse(self._gone.__contains__, self._base_passes), *added] if self._base_passes else added

    # What has changed is asked for again, so that it is looked for first, and the base, which may be in pages, last.

    def __getitem__(self, key: K) -> V:
        if key in self._changed:
            return self._changed[key]
        if key in self._added:
            return self._added[key]
        if key in self._gone:
            raise KeyError(key)
        return self._base[key]

    def __contains__(self, key: object) -> bool:
        return key in self._changed or key in self._added or (key not in self._gone and key in self._base)

    def __setitem__(self, key: K, value: V) -> None:
        stays = key in self._changed or (key not in self._gone and key in self._base)
        (self._changed if stays else self._added)[key] = value

    def add(self, key: K, value: V) -> None:
        """Put an entry in that is known not to be there."""
        self._added[key] = value

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
        if default and key not in self._added and (key in self._gone or key not in self._base):
            return default[0]
        return super().pop(key)

    def __iter__(self) -> Iterator[K]:
        return chain(filterfalse(self._gone.__contains__, self._base) if self._gone else self._base, self._added)

    def __len__(self) -> int:
        return len(self._base) - len(self._gone) + len(self._added)

    def __bool__(self) -> bool:
        return len(self._base) > len(self._gone) or bool(self._added)

    def values(self) -> ValuesView[V]:
        """The values as they are now."""
        return self.merged().values()

    def items(self) -> ItemsView[K, V]:
        """The entries as they are now."""
        return self.merged().items()

    def clear(self) -> None:
        self._base, self._changed, self._gone, self._added, self._base_passes = {}, {}, set(), {}, []


class Paged(Layered[str, V]):
    """A table of the state that may be very long, and is stored in pages then."""

    __slots__ = ()

    def __bool__(self) -> bool:
        is_full = isinstance(self._base, Pages) and self._base.count > len(self._gone)
        return is_full or super().__bool__()

    def to_store(self) -> object:
        """In pages, while it is long."""
        if isinstance(self._base, Pages):
            pages = self._base.stored_with(self._changed, self._gone, self._added)
            if len(pages) > PAGES_MIN:
                return pages
        entries = self.merged()
        return paged(entries) if len(entries) >= LONG_ENTRIES else entries


class Opened(MutableMapping[K, V]):
    """A table whose entries stay encoded, as they were stored, until they are read. New entries are kept decoded."""

    __slots__ = ("decode", "entries")

    def __init__(self, entries: MutableMapping[K, V | Raw], decode: Callable[[Raw], V]) -> None:
        self.entries = entries
        self.decode = decode

    def __getitem__(self, key: K) -> V:
        entry = self.entries[key]
        return self.decode(entry) if isinstance(entry, Raw) else entry

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __setitem__(self, key: K, value: V) -> None:
        self.entries[key] = value

    def __delitem__(self, key: K) -> None:
        del self.entries[key]

    def forked(self) -> MutableMapping[K, V]:
        return Opened(forked(self.entries), self.decode)

    def __iter__(self) -> Iterator[K]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __bool__(self) -> bool:
        return bool(self.entries)


def whole(table: MutableMapping[K, V]) -> MutableMapping[K, V]:
    """The same entries, in no layers or pages."""
    if type(table) is Opened:
        return Opened(whole(table.entries), table.decode)
    return table.merged() if isinstance(table, Layered) else table


def storable(table: MutableMapping[str, V]) -> MutableMapping[str, V]:
    """A table of the state as it is to be encoded: the same entries. Of none, an empty dict, which is left out."""
    if not table:
        return {}
    if type(table) is Opened:
        return Opened(storable(table.entries), table.decode)
    if type(table) is Paged or len(table) < LONG_ENTRIES:
        return table
    return Paged(table.merged() if isinstance(table, Layered) else table)


def plain(table: object) -> object:
    """A table as it is encoded. Raises `TypeError`."""
    if isinstance(table, (Alarms, Paged)):
        return table.to_store()
    if isinstance(table, Layered):
        return table.merged()
    if isinstance(table, Opened):
        return table.entries
    raise TypeError(f"{type(table).__name__} has no stored form")
