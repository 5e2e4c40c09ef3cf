"""Functions on numbers. Results are finite, within 64 bits when integral, and integers when they are integral."""

from __future__ import annotations

from math import ceil as _ceil
from math import floor as _floor
from math import fsum

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import bounded, integer, number, sequence
from workflow_runtime.language.json_values import Json

_DIGITS_MAX = 15  # a double has no more


@function("round(x, digits = 0)", 1, 2)
def round_number(scope: Scope, value: Json, digits: Json = 0) -> int | float:
    """Half away from zero, on the number as it is written: ``round(2.675, 2)`` is 2.68."""
    places = integer(digits)
    if not -_DIGITS_MAX <= places <= _DIGITS_MAX:
        raise EvaluationError(f"digits must be between -{_DIGITS_MAX} and {_DIGITS_MAX}")
    from decimal import ROUND_HALF_UP, Context, Decimal

    scope.charge(5)  # microseconds, not nanoseconds as most operations
    plain = number(value)
    context = Context(prec=400)  # wide enough for every double with all its digits
    rounded = Decimal(repr(bounded(plain))).quantize(Decimal((0, (1,), -places)), ROUND_HALF_UP, context)
    return bounded(int(rounded)) if rounded == int(rounded) and abs(rounded) < 2**63 else bounded(float(rounded))


@function("floor(x)", 1)
def floor(_: Scope, value: Json) -> int | float:
    return bounded(_floor(bounded(number(value))))


@function("ceil(x)", 1)
def ceil(_: Scope, value: Json) -> int | float:
    return bounded(_ceil(bounded(number(value))))


@function("abs(x)", 1)
def absolute(_: Scope, value: Json) -> int | float:
    return bounded(abs(number(value)))


@function("sum(list)", 1)
def total(scope: Scope, values: Json) -> int | float:
    elements = sequence(values)
    scope.charge(len(elements))
    kinds = {type(number(element)) for element in elements}
    return bounded(fsum(elements) if float in kinds else sum(elements))


@function("avg(list)", 1)
def average(scope: Scope, values: Json) -> int | float | None:
    """Null for an empty list."""
    elements = sequence(values)
    return bounded(total(scope, elements) / len(elements)) if elements else None


@function("min(list) or min(a, b, …)", 1, -1, selects=True)
def minimum(scope: Scope, *values: Json) -> Json:
    """Null for an empty list. All numbers, or all strings."""
    elements = comparable(scope, values[0] if len(values) == 1 else list(values))
    return min(elements, default=None)


@function("max(list) or max(a, b, …)", 1, -1, selects=True)
def maximum(scope: Scope, *values: Json) -> Json:
    """Null for an empty list. All numbers, or all strings."""
    elements = comparable(scope, values[0] if len(values) == 1 else list(values))
    return max(elements, default=None)


def comparable(scope: Scope, values: Json) -> list[Json]:
    """``values`` if it is a list of numbers only, or of strings only; the cost of comparing them is paid."""
    elements = sequence(values)
    scope.charge(len(elements))
    if all(type(element) is str for element in elements):
        scope.charge_text(sum(map(len, elements)))
    elif not all(type(element) is int or type(element) is float for element in elements):
        raise EvaluationError("only numbers with numbers, or strings with strings, can be ordered")
    return elements
