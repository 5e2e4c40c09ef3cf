"""Functions on lists and objects. Nothing is changed in place: values are shared with the scope."""

from __future__ import annotations

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.numbers import comparable
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.operators import contains as is_in
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import check_text, freeze, integer, kind, mapping, sequence
from workflow_runtime.language.json_values import Json


@function("len(x)", 1)
def length(_: Scope, value: Json) -> int:
    """Elements of a list, keys of an object, characters of a string."""
    if type(value) in (list, dict, str):
        return len(value)
    raise EvaluationError(f"{kind(value)} has no length")


@function("contains(x, y)", 2)
def contains(scope: Scope, whole: Json, part: Json) -> bool:
    """The same as ``y in x``."""
    return is_in(scope, part, whole)


@function("keys(object)", 1)
def keys(scope: Scope, value: Json) -> list[str]:
    scope.charge(len(mapping(value)))
    return list(value)


@function("values(object)", 1)
def values(scope: Scope, value: Json) -> list[Json]:
    scope.charge(len(mapping(value)))
    return list(value.values())


@function("merge(a, b, …)", 1, -1)
def merge(scope: Scope, *objects: Json) -> dict[str, Json]:
    """One object of all keys, later objects win; also of one list of objects."""
    parts = objects[0] if len(objects) == 1 and type(objects[0]) is list else objects
    merged: dict[str, Json] = {}
    for part in parts:
        scope.charge(1 + len(mapping(part)))
        merged.update(part)
    return merged


@function("flatten(list)", 1)
def flatten(scope: Scope, value: Json) -> list[Json]:
    """One level: lists inside the list give their elements, other elements stay."""
    flat: list[Json] = []
    for element in sequence(value):
        if type(element) is list:
            scope.charge(1 + len(element))
            flat.extend(element)
        else:
            scope.charge(1)
            flat.append(element)
    return flat


@function("unique(list)", 1)
def unique(scope: Scope, value: Json) -> list[Json]:
    """The first of every set of equal elements, in order."""
    scope.charge(len(sequence(value)))
    first: dict[object, Json] = {}
    for element in value:
        first.setdefault(freeze(element, scope), element)
    return list(first.values())


@function("sort(list)", 1)
def sort(scope: Scope, value: Json) -> list[Json]:
    """Ascending: numbers, or strings by code point. Equal elements keep their order."""
    return sorted(comparable(scope, value))


@function("reverse(list)", 1)
def reverse(scope: Scope, value: Json) -> Json:
    """The elements, or the characters of a string, from the last to the first."""
    return _sized(scope, value)[::-1]


@function("range(end) or range(start, end, step = 1)", 1, 3)
def number_range(scope: Scope, start: Json, end: Json = None, step: Json = 1) -> list[int]:
    """Integers from ``start`` (0) up to and without ``end``."""
    if integer(step) == 0:
        raise EvaluationError("the step is zero")
    numbers = range(integer(start)) if end is None else range(integer(start), integer(end), integer(step))
    # one comparison before len(): a range longer than a machine word has none
    span = abs(numbers.stop - numbers.start) // abs(numbers.step)
    scope.charge(span)
    return list(numbers)


@function("first(list)", 1, selects=True)
def first(_: Scope, value: Json) -> Json:
    """Null for an empty list."""
    return (value[0] if value else None) if type(value) is str else next(iter(sequence(value)), None)


@function("last(list)", 1, selects=True)
def last(_: Scope, value: Json) -> Json:
    """Null for an empty list."""
    return (value[-1] if value else None) if type(value) is str or sequence(value) else None


@function("slice(x, start, end)", 2, 3)
def cut(scope: Scope, value: Json, start: Json, end: Json = None) -> Json:
    """Elements of a list or characters of a string from ``start`` up to and without ``end``; negative counts from
    the end."""
    if type(value) is not str:
        sequence(value)
    bounds = slice(integer(start), None if end is None else integer(end))
    span = len(range(*bounds.indices(len(value))))
    if type(value) is str:
        scope.charge_text(span)
        return check_text(value[bounds])
    scope.charge(span)
    return value[bounds]


@function("chunk(list, n)", 2)
def chunk(scope: Scope, value: Json, size: Json) -> list[list[Json]]:
    """Lists of ``n`` elements each, the last one shorter."""
    step = integer(size)
    if step < 1:
        raise EvaluationError("the size of a chunk must be at least 1")
    scope.charge(len(sequence(value)))
    return [value[start : start + step] for start in range(0, len(value), step)]


def _sized(scope: Scope, value: Json) -> Json:
    if type(value) is str:
        scope.charge_text(len(value))
        return check_text(value)
    scope.charge(len(sequence(value)))
    return value
