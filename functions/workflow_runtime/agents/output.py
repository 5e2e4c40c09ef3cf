"""Which schema an agent's output must match, and whether it does. Mocked agents are held to the same."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from workflow_runtime.invocation import NodeCall
from workflow_runtime.plan import Json

PROBLEMS_SHOWN = 5  # what a model or a person can mend at once


class SchemaUnusable(ValueError):
    """A JSON Schema that is wrong itself, or refers to other documents."""


def expected_schema(call: NodeCall, agent_schema: Json = None) -> Json:
    """The JSON Schema of this call's output: the node's, else the agent's, else one of its `output_fields`; None: any
    text."""
    if call.output_schema is not None:
        return call.output_schema
    if agent_schema is not None:
        return agent_schema
    if call.output_fields:
        fields = list(call.output_fields)
        return {"type": "object", "properties": {field: {} for field in fields}, "required": fields}
    return None


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


@lru_cache(maxsize=256)
def _validator(encoded: bytes) -> Any:
    try:
        return jsonschema_rs.Draft202012Validator(msgspec.json.decode(encoded), retriever=_refuse)
    except ValueError as error:
        raise SchemaUnusable(f"no valid JSON Schema: {str(error).splitlines()[0]}") from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"a schema may not refer to another document ({uri})")


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:300]}…"
