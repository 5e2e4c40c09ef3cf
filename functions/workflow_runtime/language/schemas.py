"""JSON Schema 2020-12: checks of inputs, outputs and arguments, with messages for people. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from workflow_runtime.language.json_values import Json

PROBLEMS_SHOWN = 5  # what a model or a person can fix at once
PROBLEM_CHARS_MAX = 300  # of one message; it may quote the value
VALIDATORS_CACHED_MAX = 256  # warm processes meet few schemas


class SchemaUnusable(ValueError):
    """A JSON Schema that is wrong itself, or refers to other documents."""


def violation(schema: Json, value: Json) -> str | None:
    """What is wrong with ``value`` by ``schema`` (or with the schema), in one line; None when nothing is."""
    try:
        problems = schema_problems(schema, value)
    except SchemaUnusable as error:
        return str(error)
    return "; ".join(problems) or None


def schema_problems(schema: Json, value: Json) -> list[str]:
    """How ``value`` fails ``schema``, one line each, the first few only; empty when it matches. Raises
    `SchemaUnusable`."""
    problems: list[str] = []
    for error in validator_of(schema).iter_errors(value):
        if len(problems) == PROBLEMS_SHOWN:
            problems.append("…")
            break
        place = "/".join(str(part) for part in error.instance_path)
        problems.append(f"{place}: {_short(error.message)}" if place else _short(error.message))
    return problems


def validator_of(schema: Json) -> Any:
    """The validator of ``schema``, cached. Never reads another document, by network or file. Raises
    `SchemaUnusable`."""
    try:
        encoded = msgspec.json.encode(schema, order="deterministic")
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaUnusable(f"the schema is no JSON value: {error}") from None
    return _validator(encoded)


@lru_cache(VALIDATORS_CACHED_MAX)
def _validator(encoded: bytes) -> Any:
    try:
        return jsonschema_rs.Draft202012Validator(msgspec.json.decode(encoded), retriever=_refuse)
    except ValueError as error:
        raise SchemaUnusable(f"no valid JSON Schema: {str(error).splitlines()[0]}") from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"a schema may not refer to another document ({uri})")


def _short(message: str) -> str:
    return message if len(message) <= PROBLEM_CHARS_MAX else f"{message[:PROBLEM_CHARS_MAX]}…"
