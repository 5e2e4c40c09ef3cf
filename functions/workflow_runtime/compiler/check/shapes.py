"""What is known of a value before anything runs: a JSON Schema, and what can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from workflow_runtime.compiler.names.schemas import declared_keys, parts_of_schema
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import resolve
from workflow_runtime.language.templates import has_template

SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})

TYPES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    type(None): "null",
    dict: "object",
    list: "array",
}

REFERENCES_MAX = 32  # followed one after the other; more is a circle


class Shape(msgspec.Struct, frozen=True):
    """A part of the schema ``root``, whose references it may use. ``root`` True: anything."""

    schema: Json
    root: Json

    @property
    def names(self) -> frozenset[str]:
        """The fields that it declares."""
        return declared_keys(self.schema, self.root)[0]

    def has(self, key: str) -> bool | None:
        """Whether its value has a field of this name; None: that is not known."""
        types = self.types
        if types is not None and "object" not in types:
            return False if types <= SCALARS else None
        names, is_open = declared_keys(self.schema, self.root)
        if key in names:
            return True
        tolerates = any(
            isinstance(part.get("additionalProperties"), Mapping) for part in parts_of_schema(self.schema, self.root)
        )
        return None if is_open or tolerates else False

    def field(self, key: str) -> Shape | None:
        """The shape of a field that it has; None: nothing is known of it."""
        found = [
            part["properties"][key]
            for part in parts_of_schema(self.schema, self.root)
            if key in part.get("properties", ())
        ]
        return Shape(found[0], self.root) if len(found) == 1 else None

    @property
    def types(self) -> frozenset[str] | None:
        """JSON Schema's types that its values may have, ``integer`` as ``number``; None: any."""
        found: set[str] = set()
        for schema in self._alternatives():
            written = schema.get("type")
            if written is None and "enum" in schema:
                found.update(TYPES[type(value)] for value in schema["enum"])
            elif written is None:
                return None
            else:
                found.update([written] if isinstance(written, str) else written)
        return frozenset("number" if name == "integer" else name for name in found)

    @property
    def values(self) -> tuple[Json, ...] | None:
        """The only values that it allows; None: it does not list them."""
        found: list[Json] = []
        for schema in self._alternatives():
            if "const" in schema:
                found.append(schema["const"])
            elif "enum" in schema:
                found += schema["enum"]
            elif schema.get("type") == "null":
                found.append(None)
            else:
                return None
        return tuple(found)

    def _alternatives(self) -> list[dict[str, Any]]:
        """The schemas one of which holds; one that says nothing, if there is more to it than that."""
        schema = self._resolved(self.schema)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema and "type" not in schema and "enum" not in schema:
                return [self._resolved(item) for item in schema[keyword]] or [{}]
        return [schema]

    def _resolved(self, schema: Json) -> dict[str, Any]:
        for _ in range(REFERENCES_MAX):
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            schema = resolve(self.root, str(schema["$ref"]))
        return schema if isinstance(schema, dict) else {}


def shape(schema: Json) -> Shape | None:
    return Shape(schema, schema) if isinstance(schema, dict) else None


def schema_of_template(value: Json) -> Json:
    """The schema of what a template yields, as far as its text tells."""
    if isinstance(value, dict):
        properties = {key: schema_of_template(item) for key, item in value.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    if isinstance(value, str):
        return True if has_template(value) else {"const": value, "type": "string"}
    if isinstance(value, list | tuple):
        return {"type": "array"}
    return {"type": TYPES[type(value)]}
