"""Operators on values: what they mean, and closures for them. Closures for the common shapes spare a call per
operand."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Callable
from typing import TypeAlias

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.limits import RESULT_BYTES_MAX
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import TOO_LARGE, bounded, check_text, equals, kind
from workflow_runtime.language.json_values import Json

Evaluator: TypeAlias = Callable[[Scope], Json]
"""A compiled piece of an expression."""

# -- meaning


def contains(scope: Scope, part: Json, whole: Json) -> bool:
    """``part in whole``: element of a list, key of an object, part of a string; false for null."""
    whole_type = type(whole)
    if whole_type is list:
        scope.charge(len(whole))
        if type(part) is str:  # only strings equal strings: Python's own search finds the same
            scope.charge_text(len(whole) * len(part))
            return part in whole
        return any(equals(part, element, scope) for element in whole)
    if whole is None or (part is None and whole_type in (str, dict)):
        return False
    if whole_type is dict or whole_type is str:
        if type(part) is not str:
            raise EvaluationError(f"{kind(part)} in {kind(whole)}: a string is expected on the left of `in`")
        if whole_type is str:
            scope.charge_text(len(whole))
        return part in whole
    raise EvaluationError(f"`in` needs a list, an object or a string on the right, not {kind(whole)}")


def add(scope: Scope, left: Json, right: Json) -> Json:
    """Sum of numbers, or strings joined, or lists joined."""
    left_type, right_type = type(left), type(right)
    if left_type is str and right_type is str:
        size = len(left) + len(right)
        if size > RESULT_BYTES_MAX:
            raise EvaluationError(TOO_LARGE)
        scope.charge_text(size)
        scope.charge_made(left)
        scope.charge_made(right)
        return check_text(left + right)
    if left_type is list and right_type is list:
        scope.charge(len(left) + len(right))
        return left + right
    if left_type in _NUMBERS and right_type in _NUMBERS:
        return bounded(left + right)
    hint = "; write string(x) to join a text with another value" if str in (left_type, right_type) else ""
    raise EvaluationError(f"cannot add {kind(right)} to {kind(left)}{hint}")


def _numeric(symbol: str, calculate: Callable[[Json, Json], Json]) -> Callable[[Scope, Json, Json], Json]:
    def apply(_: Scope, left: Json, right: Json) -> Json:
        if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
            raise EvaluationError(f"{kind(left)} {symbol} {kind(right)}: numbers are expected")
        return bounded(calculate(left, right))

    return apply


def _divide(left: Json, right: Json) -> Json:
    if right == 0:
        raise EvaluationError("division by zero")
    if type(left) is int and type(right) is int and left % right == 0:
        return left // right  # exact where a double is not
    return left / right


def _remainder(left: Json, right: Json) -> Json:
    """With the sign of the divisor, as indices into cycles need it."""
    if right == 0:
        raise EvaluationError("division by zero")
    return left % right


_NUMBERS = frozenset({int, float})
_ARITHMETIC: dict[str, Callable[[Scope, Json, Json], Json]] = {
    "+": add,
    "-": _numeric("-", python_operator.sub),
    "*": _numeric("*", python_operator.mul),
    "/": _numeric("/", _divide),
    "%": _numeric("%", _remainder),
}
_ORDER: dict[str, Callable[[Json, Json], bool]] = {
    "<": python_operator.lt,
    "<=": python_operator.le,
    ">": python_operator.gt,
    ">=": python_operator.ge,
}


# -- closures


def arithmetic(first: Evaluator, rest: list[tuple[str, Evaluator, int]]) -> Evaluator:
    """A chain of one precedence, from the left. Offsets are those of the operators."""
    links = tuple((_ARITHMETIC[symbol], operand, offset) for symbol, operand, offset in rest)

    def evaluate(scope: Scope) -> Json:
        value = first(scope)
        for apply, operand, offset in links:
            other = operand(scope)
            try:
                value = apply(scope, value, other)
            except EvaluationError as error:
                raise error.at(offset) from None
            except OverflowError:
                raise EvaluationError("the result is too large", offset) from None
        return value

    return evaluate


def negative(operand: Evaluator, offset: int) -> Evaluator:
    def evaluate(scope: Scope) -> Json:
        value = operand(scope)
        if type(value) not in _NUMBERS:
            raise EvaluationError(f"minus needs a number, not {kind(value)}", offset)
        try:
            return bounded(-value)
        except EvaluationError as error:
            raise error.at(offset) from None

    return evaluate


# Comparisons of a text with a number are decided by their types alone, which is hardly ever what was meant: they are
# noted, as ``shown``.


def equality(left: Evaluator, right: Evaluator, negated: bool, shown: str) -> Evaluator:
    def evaluate(scope: Scope) -> bool:
        a, b = left(scope), right(scope)
        if equals(a, b, scope):
            return not negated
        if _are_text_and_number(a, b):
            scope.report_doubt(shown)
        return negated

    return evaluate


def equality_to(left: Evaluator, constant: Json, negated: bool, shown: str) -> Evaluator:
    """Comparison with a literal: the types that can equal it, and those that it is mixed up with, are known
    beforehand."""
    if constant is None:
        return (lambda scope: left(scope) is not None) if negated else (lambda scope: left(scope) is None)
    kinds = _NUMBERS if type(constant) in _NUMBERS else frozenset({type(constant)})
    doubtful = _NUMBERS if type(constant) is str else frozenset({str}) if kinds is _NUMBERS else frozenset()

    def evaluate(scope: Scope) -> bool:
        value = left(scope)
        if value == constant and type(value) in kinds:
            return not negated
        if type(value) in doubtful:
            scope.report_doubt(shown)
        return negated

    return evaluate


def _are_text_and_number(a: Json, b: Json) -> bool:
    return (type(a) is str and type(b) in _NUMBERS) or (type(b) is str and type(a) in _NUMBERS)


def order(symbol: str, left: Evaluator, right: Evaluator, shown: str) -> Evaluator:
    """Numbers with numbers, strings with strings; anything else is false."""
    compare = _ORDER[symbol]

    def evaluate(scope: Scope) -> bool:
        a, b = left(scope), right(scope)
        if type(a) in _NUMBERS and type(b) in _NUMBERS:
            return compare(a, b)
        if type(a) is str and type(b) is str:
            scope.charge_text(min(len(a), len(b)))
            return compare(a, b)
        if _are_text_and_number(a, b):
            scope.report_doubt(shown)
        return False

    return evaluate


def order_number(symbol: str, left: Evaluator, constant: int | float, shown: str) -> Evaluator:
    """Comparison with a number that is written."""
    compare = _ORDER[symbol]

    def mixed(scope: Scope, value: Json) -> bool:
        if type(value) is str:
            scope.report_doubt(shown)
        return False

    def evaluate(scope: Scope) -> bool:
        value = left(scope)
        return compare(value, constant) if type(value) in _NUMBERS else mixed(scope, value)

    def greater(scope: Scope) -> bool:
        value = left(scope)
        return value > constant if type(value) in _NUMBERS else mixed(scope, value)

    return greater if symbol == ">" else evaluate


def membership(part: Evaluator, whole: Evaluator, negated: bool, offset: int, shown: str) -> Evaluator:
    def evaluate(scope: Scope) -> bool:
        element, container = part(scope), whole(scope)
        try:
            found = contains(scope, element, container)
        except EvaluationError as error:
            raise error.at(offset) from None
        if not found and type(container) is list and container and _are_text_and_number(element, container[0]):
            scope.report_doubt(shown)
        return found is not negated

    return evaluate


def both(operands: tuple[Evaluator, ...]) -> Evaluator:
    """``and``: the first operand that is false, else the last."""
    if len(operands) == 2:
        left, right = operands
        return lambda scope: left(scope) and right(scope)

    def evaluate(scope: Scope) -> Json:
        value: Json = None
        for operand in operands:
            value = operand(scope)
            if not value:
                break
        return value

    return evaluate


def either(operands: tuple[Evaluator, ...]) -> Evaluator:
    """``or``: the first operand that is true, else the last."""
    if len(operands) == 2:
        left, right = operands
        return lambda scope: left(scope) or right(scope)

    def evaluate(scope: Scope) -> Json:
        value: Json = None
        for operand in operands:
            value = operand(scope)
            if value:
                break
        return value

    return evaluate


def first_present(operands: tuple[Evaluator, ...]) -> Evaluator:
    """``??`` and ``coalesce``: the first operand that is not null."""

    def evaluate(scope: Scope) -> Json:
        for operand in operands:
            value = operand(scope)
            if value is not None:
                return value
        return None

    return evaluate


def conditional(condition: Evaluator, then: Evaluator, otherwise: Evaluator) -> Evaluator:
    return lambda scope: then(scope) if condition(scope) else otherwise(scope)


def negation(operand: Evaluator) -> Evaluator:
    return lambda scope: not operand(scope)
