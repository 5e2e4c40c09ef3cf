"""JSON values: kinds, equality, text, size. All walks are paid for or bounded; none looks at anything but JSON."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import msgspec

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.limits import INTEGER_MAX, INTEGER_MIN, RESULT_BYTES_MAX
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.json_values import DEPTH_MAX, Json, is_deeper

_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "list",
    dict: "object",
}
_BYTES_PER_STEP_SHIFT = 4  # of JSON that is walked or written
_INTEGER_DIGITS_MAX = 20  # sign and 64 bits
UNSIGNED_MAX = 2**64 - 1  # values that come from outside may be that wide
TOO_DEEP = f"a value is nested more than {DEPTH_MAX} levels deep"
TOO_LARGE = f"a computed result is larger than {RESULT_BYTES_MAX // 1024:,} KiB"


def kind(value: Json) -> str:
    """``null``, ``boolean``, ``number``, ``string``, ``list`` or ``object``."""
    name = _KINDS.get(type(value))
    if name is None:
        raise EvaluationError(f"{type(value).__name__} is not a JSON value")
    return name


def number(value: Json) -> int | float:
    """``value`` if it is a number. Raises `EvaluationError`."""
    if type(value) is int or type(value) is float:
        return value
    raise EvaluationError(f"{kind(value)} where a number is expected")


def integer(value: Json) -> int:
    """``value`` as an integer if it is an integral number. Raises `EvaluationError`."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise EvaluationError(f"{'a fraction' if type(value) is float else kind(value)} where an integer is expected")


def text(value: Json) -> str:
    if type(value) is str:
        return value
    raise EvaluationError(f"{kind(value)} where a string is expected")


def sequence(value: Json) -> list[Json]:
    if type(value) is list:
        return value
    raise EvaluationError(f"{kind(value)} where a list is expected")


def mapping(value: Json) -> dict[str, Json]:
    if type(value) is dict:
        return value
    raise EvaluationError(f"{kind(value)} where an object is expected")


def bounded(value: int | float) -> int | float:
    """A computed number: 64-bit when integral, finite, and an integer when it is one. Raises
    `EvaluationError`."""
    if type(value) is float:
        if not isfinite(value):
            raise EvaluationError("the result is not a finite number")
        if value.is_integer() and abs(value) <= 2**53:
            return int(value)
        return value
    if INTEGER_MIN <= value <= INTEGER_MAX:
        return value
    raise EvaluationError("an integer beyond 64 bits")


def text_bytes(value: str) -> int:
    """Size of ``value`` in UTF-8."""
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def check_text(value: str) -> str:
    """``value`` if it may be a computed result. Raises `EvaluationError`."""
    if len(value) * 4 > RESULT_BYTES_MAX and text_bytes(value) > RESULT_BYTES_MAX:
        raise EvaluationError(TOO_LARGE)
    return value


def equals(left: Json, right: Json, scope: Scope | None = None, depth: int = 0) -> bool:
    """Equality of JSON values: ``1 == 1.0``, ``true != 1``. Walks are charged to ``scope`` when there is one;
    ``depth``: of what is around. Raises `EvaluationError`."""
    left_type, right_type = type(left), type(right)
    if left_type is not right_type:
        return left_type in (int, float) and right_type in (int, float) and bool(left == right)
    if left_type is list:
        if len(left) != len(right):
            return False
        if scope is not None:
            scope.charge(len(left))
        inner = _deeper(depth)
        return all(equals(a, b, scope, inner) for a, b in zip(left, right, strict=True))
    if left_type is dict:
        if len(left) != len(right):
            return False
        if scope is not None:
            scope.charge(len(left))
        inner = _deeper(depth)
        return all(key in right and equals(value, right[key], scope, inner) for key, value in left.items())
    if left_type is str and scope is not None and len(left) == len(right):
        scope.charge_text(len(left))
    return bool(left == right)


def _deeper(depth: int) -> int:
    if depth == DEPTH_MAX:
        raise EvaluationError(TOO_DEEP)
    return depth + 1


def freeze(value: Json, scope: Scope) -> str | bytes:
    """A hashable stand-in: equal exactly for values that `equals` calls equal.

    A text, or the JSON of anything else: only texts and bytes hash under a key of the process, so that nobody can
    choose values (numbers, tuples of them) that all fall into one place of a table.
    """
    value_type = type(value)
    if value_type is str:
        scope.charge_text(len(value))
        return str(value)
    if value_type is list or value_type is dict:
        scope.charge(1 + (json_bytes(value, scope.steps << _BYTES_PER_STEP_SHIFT) >> _BYTES_PER_STEP_SHIFT))
        _check_depth(value)
    return _sorted_encoder.encode(_with_plain_numbers(value, UNSIGNED_MAX))


def json_bytes(value: Json, limit: int = RESULT_BYTES_MAX) -> int:
    """Size of ``value`` as compact JSON in UTF-8 (escapes not counted), without making it.

    Stops at ``limit``: raises `EvaluationError` for more, and for values that are not JSON. Shared parts count once per
    mention, as they would when written, and the walk keeps its own stack: neither sharing nor nesting can blow it up.
    """
    total = 0
    pending: list[Iterable[Json]] = [(value,)]
    while pending:
        for element in pending.pop():
            element_type = type(element)
            if element_type is str:
                total += 2 + (len(element) if element.isascii() else _wide_bytes(element, limit))
            elif element_type is list:
                total += 2 + len(element)
                pending.append(element)
            elif element_type is dict:
                total += 2 + 2 * len(element)
                for key in element:
                    total += 2 + (len(key) if text(key).isascii() else _wide_bytes(key, limit))
                pending.append(element.values())
            else:
                total += _scalar_bytes(element)
            if total > limit:
                raise EvaluationError(TOO_LARGE)
    return total


def _wide_bytes(value: str, limit: int) -> int:
    return text_bytes(value) if len(value) <= limit else len(value)


def _scalar_bytes(value: Json) -> int:
    value_type = type(value)
    if value_type is int:
        if not INTEGER_MIN <= value <= UNSIGNED_MAX:  # the widest that every JSON writer here can write
            raise EvaluationError("an integer beyond 64 bits")
        return _INTEGER_DIGITS_MAX if value > 99_999 or value < -9_999 else 5
    if value_type is float:
        if not isfinite(value):
            raise EvaluationError("not a finite number")
        return len(repr(value))
    kind(value)
    return 5


def render_text(value: Json, scope: Scope) -> str:
    """``value`` as it stands in a text: null empty, integral numbers as integers, lists and objects as compact JSON."""
    value_type = type(value)
    if value_type is str:
        scope.charge_text(len(value))
        return check_text(value)
    if value_type is int or value_type is float:
        return render_number(value)
    if value is None:
        return ""
    if value_type is bool:
        return "true" if value else "false"
    return json_text(value, scope)


def render_number(value: int | float) -> str:
    """Integral numbers as integers, others in the shortest form that reads back the same."""
    _scalar_bytes(value)
    return str(_plain_number(value))


def _plain_number(value: int | float, most: int = INTEGER_MAX) -> int | float:
    return int(value) if type(value) is float and value.is_integer() and INTEGER_MIN <= value <= most else value


_encoder = msgspec.json.Encoder()
_sorted_encoder = msgspec.json.Encoder(order="sorted")


def json_text(value: Json, scope: Scope, *, ordered: bool = False) -> str:
    """Compact JSON, at most 1 MiB; ``ordered`` sorts keys. Raises `EvaluationError` before memory grows."""
    scope.charge(1 + (json_bytes(value) >> _BYTES_PER_STEP_SHIFT))
    _check_depth(value)
    encoder = _sorted_encoder if ordered else _encoder
    return check_text(encoder.encode(_with_plain_numbers(value)).decode())


def _check_depth(value: Json) -> None:
    if is_deeper(value, DEPTH_MAX):
        raise EvaluationError(TOO_DEEP)


def _with_plain_numbers(value: Json, most: int = INTEGER_MAX) -> Json:
    value_type = type(value)
    if value_type is float:
        return _plain_number(value, most)
    if value_type is list:
        return [_with_plain_numbers(element, most) for element in value]
    if value_type is dict:
        return {key: _with_plain_numbers(element, most) for key, element in value.items()}
    return value
