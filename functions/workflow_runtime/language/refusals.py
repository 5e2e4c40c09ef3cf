"""What pydantic refuses of a value, in the words of whoever wrote the value: JSON or YAML, not Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KINDS = {
    "an object": ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"),
    "a list": ("list_type", "tuple_type", "set_type", "frozen_set_type"),
    "text": ("string_type",),
    "a whole number": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "a number": ("float_type", "float_parsing", "decimal_type", "decimal_parsing"),
    "a finite number": ("finite_number",),
    "true or false": ("bool_type", "bool_parsing"),
}
_WORDS: dict[str, str] = {
    **{type: f"must be {kind}" for kind, types in _KINDS.items() for type in types},
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "none_required": "must be null",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "may have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "may have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "string_pattern_mismatch": "must match the pattern {pattern}",
}
"""By pydantic's type of error; ``{…}`` are in its context. All other messages are our own validators', or are said as
pydantic says them."""


def refusal(error: Mapping[str, Any]) -> str:
    """What is wrong, to be said behind the name of what is refused. ``error``: one of ``ValidationError.errors()``,
    with its context."""
    words, context = _WORDS.get(error["type"]), error.get("ctx", {})
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    if context.get("min_length") == 1:
        return "must not be empty"
    return words.format(**{name: _plain(value) for name, value in context.items()})


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
