"""What a JSON Schema says of the fields of the values that it describes."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.language.json_values import Json


def declared_keys(schema: Json) -> tuple[frozenset[str], bool]:
    """Top-level keys that an input schema declares, and whether it leaves room for others that nobody can know.

    Without properties a schema declares nothing, so nothing can be undeclared; patterns and references beyond the
    document leave room too. That a schema merely tolerates additional properties does not declare them.
    """
    names: set[str] = set()
    is_open = False
    for part in _parts_of_schema(schema, schema, set()):
        names.update(part.get("properties", ()))
        names.update(name for name in part.get("required", ()) if isinstance(name, str))
        reference = part.get("$ref")
        far = reference is not None and not str(reference).startswith("#/")
        is_open = is_open or far or "patternProperties" in part or "$dynamicRef" in part
    return frozenset(names), is_open or not names


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
    if isinstance(reference, str) and reference.startswith("#/"):
        target = root
        for key in reference[2:].split("/"):
            target = target.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        yield from _parts_of_schema(target, root, seen)
