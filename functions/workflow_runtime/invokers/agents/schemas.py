"""Schemas as models take them: an object at the root."""

from __future__ import annotations

from typing import Any

from workflow_runtime.language.json_values import Json

WRAPPER_FIELD = "result"


def for_model(schema: Json) -> tuple[dict[str, Any], bool]:
    """``schema`` with an object at its root, and whether that object wraps the value in `WRAPPER_FIELD`.

    Providers only take objects (a list or a text has to be wrapped). Definitions stay at the root, where ``#/$defs/…``
    looks for them.
    """
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            return dict(schema), False
        if "type" not in schema and "properties" in schema:
            return {"type": "object", **schema}, False
    inner = dict(schema) if isinstance(schema, dict) else schema
    wrapper: dict[str, Any] = {"type": "object", "properties": {WRAPPER_FIELD: inner}, "required": [WRAPPER_FIELD]}
    if isinstance(inner, dict):
        inner.pop("$schema", None)
        for key in ("$defs", "definitions"):
            if key in inner:
                wrapper[key] = inner.pop(key)
    return wrapper, True
