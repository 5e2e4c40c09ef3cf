"""What a JSON Schema says of the fields of the values that it describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.schemas import resolve


def declared_keys(schema: Json, root: Json = None) -> tuple[frozenset[str], bool]:
    """Top-level keys that an input schema declares, and whether it leaves room for others that nobody can know.

    Without properties a schema declares nothing, so nothing can be undeclared; patterns and references beyond the
    document leave room too. That a schema merely tolerates additional properties does not declare them.
    """
    names: set[str] = set()
    is_open = False
    for part in parts_of_schema(schema, schema if root is None else root):
        names.update(part.get("properties", ()))
        names.update(name for name in part.get("required", ()) if isinstance(name, str))
        reference = part.get("$ref")
        far = reference is not None and not str(reference).startswith("#/")
        is_open = is_open or far or "patternProperties" in part or "$dynamicRef" in part
    return frozenset(names), is_open or not names


def event_names(schemas: Mapping[str, Json]) -> frozenset[str]:
    """The keys that the data of events may bring, by the schemas of the events."""
    return frozenset(normalized(name) for schema in schemas.values() for name in declared_keys(schema)[0])


def knows_event_data(input_schema: Json, schemas: Mapping[str, Json]) -> bool:
    """Whether a name that neither the workflow nor the schema of an event declares is wrong in a chart, too: with
    schemas of events that name what they bring, or with an input schema that refuses what it does not name.
    """
    if any(declared_keys(schema)[1] for schema in schemas.values()):
        return False
    return bool(schemas) or is_closed(input_schema)


def is_closed(schema: Json) -> bool:
    """Whether a schema refuses keys that it does not name."""
    return isinstance(schema, dict) and any(
        schema.get(keyword) is False for keyword in ("additionalProperties", "unevaluatedProperties")
    )


def parts_of_schema(schema: Json, root: Json) -> Iterator[dict[str, Json]]:
    """The schemas that apply to the same value as ``schema``, a part of ``root``."""
    return _parts_of_schema(schema, root, set())


def _parts_of_schema(schema: Json, root: Json, seen: set[int]) -> Iterator[dict[str, Json]]:
    """The schemas that apply to the same value as ``schema``."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return
    seen.add(id(schema))
    yield schema
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from _parts_of_schema(part, root, seen)
    for keyword in ("if", "then", "else"):
        yield from _parts_of_schema(schema.get(keyword), root, seen)
    for part in schema.get("dependentSchemas", {}).values():
        yield from _parts_of_schema(part, root, seen)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield from _parts_of_schema(resolve(root, reference), root, seen)
