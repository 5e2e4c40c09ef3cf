"""The form of a JSON Schema that models are given: an object at the root, every reference written out.

Providers differ in what they know of references; none of them need to. What refers to itself cannot be written out: it
is described loosely where it begins anew, and the output is checked by the schema itself in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import SchemaUnusable

WRAPPER_FIELD = "result"
SCHEMAS_MAX = 5_000  # written out: a model reads them all with every request
DEPTH_MAX = 100

_DROPPED = frozenset({"$schema", "$id", "$comment", "$anchor", "$defs", "definitions"})
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})  # keywords that hold schemas by name
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {"items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else",
     "unevaluatedItems", "unevaluatedProperties"}
)  # fmt: skip


def for_model(schema: Json) -> tuple[dict[str, Any], bool]:
    """``schema`` with an object at its root, and whether that object wraps the value in `WRAPPER_FIELD`.

    Providers only take objects: a list or a text has to be wrapped. Raises `SchemaUnusable` for a schema that cannot be
    written out: it refers to nothing, or is too large.
    """
    whole = _Writer(schema).write(schema)
    if isinstance(whole, dict):
        if whole.get("type") == "object":
            return whole, False
        if "type" not in whole and "properties" in whole:
            return {"type": "object", **whole}, False
    return {"type": "object", "properties": {WRAPPER_FIELD: whole}, "required": [WRAPPER_FIELD]}, True


class _Writer:
    """Writes a schema out. ``root`` is where its references lead."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._left = SCHEMAS_MAX
        self._inside: list[str] = ["#"]  # the references that are being written out

    def write(self, schema: Json, depth: int = 0) -> Json:
        self._left -= 1
        if self._left < 0:
            raise SchemaUnusable(f"it has more than {SCHEMAS_MAX:,} parts when its references are written out")
        if depth > DEPTH_MAX:
            raise SchemaUnusable(f"it is more than {DEPTH_MAX} levels deep when its references are written out")
        if not isinstance(schema, dict):
            return schema
        if "$dynamicRef" in schema:
            raise SchemaUnusable("models cannot be given `$dynamicRef`; use `$ref`")

        def inner(part: Json) -> Json:
            return self.write(part, depth + 1)

        written = {key: _keyword(key, value, inner) for key, value in schema.items() if key not in _DROPPED}
        reference = written.pop("$ref", None)
        return written if reference is None else _both(self._target(str(reference), depth), written)

    def _target(self, reference: str, depth: int) -> Json:
        name = _normal(reference)
        target = self._find(name)
        if name in self._inside:
            kind = {"type": target["type"]} if isinstance(target, dict) and "type" in target else {}
            return {**kind, "description": f"Of the same form as {_title(name)}."}
        self._inside.append(name)
        try:
            return self.write(target, depth + 1)
        finally:
            self._inside.pop()

    def _find(self, name: str) -> Json:
        place = self._root
        for part in name.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
                place = place[int(key)]
            elif isinstance(place, dict) and key in place:
                place = place[key]
            else:
                raise SchemaUnusable(f"it has nothing at {name}, which a `$ref` refers to")
        return place


def _keyword(key: str, value: Json, inner: Callable[[Json], Json]) -> Json:
    if key in _NAMED and isinstance(value, dict):
        return {name: inner(part) for name, part in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [inner(part) for part in value]
    return inner(value) if key in _SINGLE else value


def _normal(reference: str) -> str:
    if reference != "#" and not reference.startswith("#/"):
        raise SchemaUnusable(f"models cannot be given the `$ref` {reference[:100]!r}; use #/$defs/…")
    return reference


def _both(target: Json, beside: dict[str, Json]) -> Json:
    """What a ``$ref`` leads to, and what stands beside it: both hold."""
    if not beside:
        return target
    if isinstance(target, dict) and not (target.keys() & beside.keys() - {"description", "title"}):
        return {**target, **beside}
    return {"allOf": [target, beside]}


def _title(name: str) -> str:
    return "the whole" if name == "#" else f"`{unquote(name.rpartition('/')[2])}`"
