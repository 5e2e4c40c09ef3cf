"""Functions from one kind of value to another."""

from __future__ import annotations

import re

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.limits import PARSED_BYTES_PER_CHARACTER
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import bounded, check_text, json_text, kind, render_text, text
from workflow_runtime.language.json_values import Json, TooDeep, read_json

_NUMBER = re.compile(r"\s*([+-]?)([0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})((?:[eE][+-]?[0-9]{1,5})?)\s*\Z")


@function("number(x)", 1)
def number(scope: Scope, value: Json) -> int | float:
    """Numbers stay, true is 1 and false 0, a text must be one decimal number."""
    if type(value) is int or type(value) is float:
        return value
    if type(value) is bool:
        return int(value)
    source = text(value)
    scope.charge_text(len(source) << 3)
    match = _NUMBER.match(source) if len(source) <= 1000 else None
    if match is None:
        raise EvaluationError("not a number", quote=repr(source[:40]))
    sign, digits, exponent = match.groups()
    if digits.isdigit() and not exponent:
        return bounded(int(sign + digits))
    return bounded(float(sign + digits + exponent))


@function("string(x)", 1)
def string(scope: Scope, value: Json) -> str:
    """The value as a template would render it."""
    return render_text(value, scope)


@function("bool(x)", 1)
def boolean(_: Scope, value: Json) -> bool:
    """``"true"`` and ``"false"`` (any case) mean what they say; any other value is false as a condition would be."""
    if type(value) is str and len(value) <= 5 and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return bool(value)


@function("type(x)", 1)
def type_of(_: Scope, value: Json) -> str:
    """null, boolean, number, string, list or object."""
    return kind(value)


@function("json(x)", 1)
def to_json(scope: Scope, value: Json) -> str:
    """Compact JSON."""
    return json_text(value, scope)


@function("parse_json(text)", 1)
def parse_json(scope: Scope, value: Json) -> Json:
    source = check_text(text(value))
    scope.charge(1 + (len(source) >> 4))
    scope.charge_memory(PARSED_BYTES_PER_CHARACTER * len(source))
    try:
        return read_json(source)
    except TooDeep as error:
        raise EvaluationError(str(error)) from None
    except ValueError as error:
        raise EvaluationError(f"not JSON: {error}") from None
