"""Functions on texts. Growth is refused before it happens."""

from __future__ import annotations

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.limits import ELEMENT_BYTES, RESULT_BYTES_MAX, VALUE_BYTES
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import TOO_LARGE, check_text, render_text, sequence, text
from workflow_runtime.language.json_values import Json


def _readable(scope: Scope, value: Json) -> str:
    """A text that may be rewritten: charged, and not larger than a result may be."""
    source = text(value)
    scope.charge_text(len(source))
    return check_text(source)


@function("lower(text)", 1)
def lower(scope: Scope, value: Json) -> str:
    return _readable(scope, value).lower()


@function("upper(text)", 1)
def upper(scope: Scope, value: Json) -> str:
    return _readable(scope, value).upper()


@function("trim(text)", 1)
def trim(scope: Scope, value: Json) -> str:
    return _readable(scope, value).strip()


@function("split(text, sep)", 2)
def split(scope: Scope, value: Json, separator: Json) -> list[str]:
    if text(separator) == "":
        raise EvaluationError("the separator is empty")
    source = _readable(scope, value)
    parts = source.count(separator) + 1
    scope.charge(parts)
    scope.charge_memory(parts * (VALUE_BYTES + ELEMENT_BYTES) + (len(source) if source.isascii() else 4 * len(source)))
    return source.split(separator)


@function('join(list, sep = "")', 1, 2)
def join(scope: Scope, values: Json, separator: Json = "") -> str:
    elements = sequence(values)
    scope.charge(len(elements))
    if len(text(separator)) * (len(elements) - 1) > RESULT_BYTES_MAX:
        raise EvaluationError(TOO_LARGE)
    parts: list[str] = []
    total = len(separator) * (len(elements) - 1)
    for element in elements:
        part = render_text(element, scope)
        total += len(part)
        if total > RESULT_BYTES_MAX:
            raise EvaluationError(TOO_LARGE)
        parts.append(part)
    scope.charge_text(total)
    return check_text(str(separator).join(parts))


@function("replace(text, old, new)", 3)
def replace(scope: Scope, value: Json, old: Json, new: Json) -> str:
    if text(old) == "":
        raise EvaluationError("the text to replace is empty")
    source = _readable(scope, value)
    size = len(source) + source.count(old) * (len(text(new)) - len(old))
    if size > RESULT_BYTES_MAX:
        raise EvaluationError(TOO_LARGE)
    scope.charge_text(size)
    return source.replace(old, new)


@function("starts_with(text, prefix)", 2)
def starts_with(scope: Scope, value: Json, prefix: Json) -> bool:
    scope.charge_text(len(text(prefix)))
    return text(value).startswith(prefix)


@function("ends_with(text, suffix)", 2)
def ends_with(scope: Scope, value: Json, suffix: Json) -> bool:
    scope.charge_text(len(text(suffix)))
    return text(value).endswith(suffix)
