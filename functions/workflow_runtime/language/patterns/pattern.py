"""Patterns: the objects and lists of fields, compiled to what walks an event beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from workflow_runtime.language.json_values import Json, kind_of
from workflow_runtime.language.patterns.operators import (
    COMPARISONS,
    OPERATORS,
    RESERVED,
    PatternError,
    Place,
    Test,
    test_of,
)
from workflow_runtime.language.suggestions import nearest

ANY_OF: Final = "$or"
DEPTH_MAX = 64  # as in YAML

_OPERATOR_NAMES = frozenset((*OPERATORS, *COMPARISONS))


class Leaf(msgspec.Struct, frozen=True):
    """A field with the values wanted. ``absent``: it may be missing too, from the whole event."""

    path: tuple[str, ...]
    tests: tuple[Test, ...]
    absent: bool = False

    def matches(self, value: Json, event: Json) -> bool:
        if any(test(leaf) for leaf in _leaves(value) for test in self.tests):
            return True
        return self.absent and not any(True for found in _found(event, self.path) for _ in _leaves(found))


class Branch(msgspec.Struct, frozen=True):
    """An object of the pattern: all ``fields`` must match, and one alternative of each of ``choices``."""

    fields: tuple[tuple[str, Leaf | Branch], ...]
    choices: tuple[tuple[Branch, ...], ...] = ()

    def matches(self, value: Json, event: Json) -> bool:
        return any(self._matches_one(element, event) for element in (*_elements(value),) or (None,))

    def _matches_one(self, element: Json, event: Json) -> bool:
        fields = element if isinstance(element, dict) else {}
        return all(inner.matches(fields.get(name, _MISSING), event) for name, inner in self.fields) and all(
            any(alternative._matches_one(element, event) for alternative in choice) for choice in self.choices
        )


class Pattern(msgspec.Struct, frozen=True):
    """A compiled pattern."""

    root: Branch

    def matches(self, event: Json) -> bool:
        """Whether the event (any JSON value; patterns are about objects) is one that the pattern describes."""
        plain = undotted(event)
        return self.root.matches(plain, plain)


def compile_pattern(pattern: Json) -> Pattern:
    """The pattern, ready to match. Raises `PatternError`."""
    if not isinstance(pattern, dict):
        raise PatternError((), f"a pattern is an object of fields, not {kind_of(pattern)}")
    return Pattern(_branch(undotted(pattern), (), ()))


def pattern_problem(pattern: Json) -> PatternError | None:
    """What is wrong with a pattern; None when nothing is."""
    try:
        compile_pattern(pattern)
    except PatternError as error:
        return error
    return None


def undotted(value: Json) -> Json:
    """``value`` with fields whose names hold dots as the paths that these are to Event Ruler: ``{"a.b": 1}`` and
    ``{"a": {"b": 1}}`` are the same. What stands at one path in both ways becomes a list.
    """
    return _undotted(value, 0) if _has_dots(value) else value


def _has_dots(value: Json) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            if any("." in name for name in item):
                return True
            stack += item.values()
    return False


def _undotted(value: Json, depth: int) -> Json:
    if depth > 2 * DEPTH_MAX:
        return value
    if isinstance(value, list):
        return [_undotted(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Json] = {}
    for name, item in value.items():
        first, *others = name.split(".", DEPTH_MAX)
        inner = _undotted(item, depth + 1)
        for part in reversed(others):
            inner = {part: inner}
        _put(found, first, inner)
    return found


def _put(fields: dict[str, Json], name: str, value: Json) -> None:
    given = fields.get(name)
    if name not in fields:
        fields[name] = value
    elif isinstance(given, dict) and isinstance(value, dict):
        for key, item in value.items():
            _put(given, key, item)
    else:
        fields[name] = [given, value]


class _Missing:
    """A value that is not there: no leaf, no element."""


_MISSING: Final = _Missing()


def _elements(value: Json) -> Iterator[Json]:
    """A value, or what is in it if it is a list, lists in it crushed."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += reversed(item)
        elif item is not _MISSING:
            yield item


def _leaves(value: Json) -> Iterator[Json]:
    return (element for element in _elements(value) if not isinstance(element, dict))


def _found(event: Json, path: tuple[str, ...]) -> Iterator[Json]:
    """All values at a path, through all lists on the way."""
    values = [event]
    for name in path:
        values = [
            element[name]
            for value in values
            for element in _elements(value)
            if isinstance(element, dict) and name in element
        ]
    yield from values


def _branch(pattern: dict[str, Json], place: Place, path: tuple[str, ...]) -> Branch:
    if not pattern:
        raise PatternError(place, "an empty object matches nothing; name a field")
    if len(path) > DEPTH_MAX:
        raise PatternError(place, f"a pattern is nested at most {DEPTH_MAX} levels deep")
    fields: list[tuple[str, Leaf | Branch]] = []
    choices: list[tuple[Branch, ...]] = []
    for name, wanted in pattern.items():
        here = (*place, name)
        if name == ANY_OF and _has_alternatives(wanted):
            choices.append(_alternatives(wanted, here, path))
        elif isinstance(wanted, dict) and not _is_operator(wanted):
            _refuse_slip(wanted, here)
            fields.append((name, _branch(wanted, here, (*path, name))))
        else:
            fields.append((name, _leaf(wanted, here, (*path, name))))
    return Branch(tuple(fields), tuple(choices))


def _has_alternatives(wanted: Json) -> bool:
    """Event Ruler takes `$or` for a field's name where it cannot be meant as the operator."""
    return (
        isinstance(wanted, list)
        and bool(wanted)
        and all(isinstance(item, dict) and RESERVED.isdisjoint(item) for item in wanted)
    )


def _alternatives(wanted: list[Json], place: Place, path: tuple[str, ...]) -> tuple[Branch, ...]:
    if len(wanted) < 2:
        raise PatternError(place, f"`{ANY_OF}` takes at least two alternatives")
    return tuple(_branch(item, (*place, index), path) for index, item in enumerate(wanted))


def _is_operator(wanted: dict[str, Json]) -> bool:
    """An operator without its list. One that takes no list, with a list, is a field of that name."""
    if len(wanted) != 1:
        return False
    [(name, operand)] = wanted.items()
    return name in ("numeric", "anything-but") or (name in OPERATORS and not isinstance(operand, list))


def _refuse_slip(wanted: dict[str, Json], place: Place) -> None:
    """Refuse a misspelt operator without its list, which would be a field that no event has."""
    if len(wanted) != 1:
        return
    [(name, operand)] = wanted.items()
    meant = None if isinstance(operand, dict | list) else nearest(name, OPERATORS)
    if meant is not None and abs(len(meant) - len(name)) <= 2:
        message = f"`{name}` is not an operator; did you mean `{meant}`? (A field of that name: `{name}: [...]`.)"
        raise PatternError((*place, name), message)


def stray_operators(pattern: Json, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Objects of a sound pattern whose fields are all called like operators: EventBridge takes those for the names of
    fields, of which no event has them all. Yields the place of each first one, and what to do."""
    if not isinstance(pattern, dict) or (place and _is_operator(pattern)):
        return
    is_stray = len(pattern) > 1 or not place or not pattern.keys().isdisjoint(COMPARISONS)
    if pattern and is_stray and _OPERATOR_NAMES.issuperset(pattern):
        name = next(iter(pattern))
        written = f'{{numeric: ["{name}", …]}}' if name in COMPARISONS else f"{{{name}: …}}"
        yield (*place, name), f"`{name}` is taken for a field here; as an operator it stands in a list: `[{written}]`"
        return
    for name, item in pattern.items():
        if name == ANY_OF and isinstance(item, list):
            for number, alternative in enumerate(item):
                yield from stray_operators(alternative, (*place, name, number))
        else:
            yield from stray_operators(item, (*place, name))


def values_test(entry: Json) -> Test | None:
    """The test that one entry of a field's list makes of values; None for an object of fields, and for absence."""
    try:
        return test_of(entry, ())
    except PatternError:
        return None


def _leaf(wanted: Json, place: Place, path: tuple[str, ...]) -> Leaf:
    if isinstance(wanted, list) and not wanted:
        raise PatternError(place, "an empty list matches nothing; give a value")
    items = [((*place, i), item) for i, item in enumerate(wanted)] if isinstance(wanted, list) else [(place, wanted)]
    absent = [item for _, item in items if isinstance(item, dict) and item == {"exists": False}]
    tests = [test_of(item, at) for at, item in items if not (isinstance(item, dict) and item == {"exists": False})]
    return Leaf(path, tuple(tests), absent=bool(absent))
