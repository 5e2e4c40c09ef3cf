"""JSON Schemas as structural schemas, the subset of OpenAPI v3 that custom resources take.

What a structural schema cannot say, the result leaves open: it never refuses what the JSON Schema accepts, but for keys
that begin with ``x-`` (there are no patterns of names). So ``kubectl`` refuses unknown fields, wrong types, wrong words
and what is missing, wherever a value has one type; what takes a text or a list, say, is for the runtime to check, whose
findings are in the status.

Rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(Specifying a structural schema): every value has one type, or is open; ``$ref`` and recursion do not exist; in
``allOf``, ``anyOf``, ``oneOf`` and ``not`` stand only conditions on fields that are described outside of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = dict[str, Any]

OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
NESTING_MAX = 2  # how often a definition is written out inside itself; what is deeper is left open
KEPT = ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "description")


class Structural:
    """``definitions``: what ``$ref`` names."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def of(self, schema: Schema, inside: tuple[str, ...] = ()) -> Schema:
        """The structural schema of a JSON Schema. ``inside``: the definitions that it stands in."""
        note = {"description": schema["description"]} if "description" in schema else {}
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            if inside.count(name) >= NESTING_MAX:
                return {**OPEN, **note}
            return {**self.of(self._resolved(name), (*inside, name)), **note}
        if "anyOf" in schema and not _conditions_only(schema["anyOf"]):
            return {**self._one_of(schema["anyOf"], inside), **note}
        types, nullable = _types(schema)
        if any("if" in part for part in schema.get("allOf", ())):
            return {**self._chosen(schema, inside), **note}
        if len(types) != 1:
            return {**OPEN, **note}
        kept = {name: schema[name] for name in KEPT if name in schema}
        if nullable:
            kept["nullable"] = True
            if "enum" in kept:
                kept["enum"] = [*kept["enum"], None]
        match types[0]:
            case "object":
                return {**self._object(schema, inside), **kept}
            case "array":
                items = self.of(schema["items"], inside) if "items" in schema else OPEN
                return {"type": "array", "items": items, **kept}
            case type_:
                return {"type": type_, **kept}

    def _resolved(self, name: str) -> Schema:
        found: Any = self._definitions
        for part in name.split("/"):
            found = found[part]
        resolved: Schema = found
        return resolved

    def _one_of(self, choices: Iterable[Schema], inside: tuple[str, ...]) -> Schema:
        """Of several that a value may be: the one there is besides null, or open."""
        flat = [one for choice in choices for one in (choice["anyOf"] if set(choice) == {"anyOf"} else [choice])]
        others = [choice for choice in flat if choice.get("type") != "null"]
        if len(others) != 1:
            return dict(OPEN)
        found = self.of(others[0], inside)
        if len(others) < len(flat) and "type" in found:
            found = {**found, "nullable": True}
            if "enum" in found and None not in found["enum"]:
                found["enum"] = [*found["enum"], None]
        return found

    def _object(self, schema: Schema, inside: tuple[str, ...]) -> Schema:
        properties = {name: self.of(value, inside) for name, value in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties", True)
        result: Schema = {"type": "object"}
        if properties:
            result["properties"] = properties
            if more is not False:
                result |= OPEN  # fields with names of their own beside those of an author
        elif isinstance(more, dict):
            result["additionalProperties"] = self.of(more, inside)
        elif more is not False:
            result |= OPEN
        required = [name for name in schema.get("required", ()) if name in properties]
        if required:
            result["required"] = required
        conditions = [condition for part in schema.get("allOf", ()) if (condition := _condition(part, properties))]
        for word in ("anyOf", "oneOf"):  # one of them at least: that both hold is for the runtime to refuse
            choices = schema.get(word, ())
            if choices and _conditions_only(choices) and (condition := _condition({"anyOf": choices}, properties)):
                conditions.append(condition)
        if conditions:
            result["allOf"] = conditions
        return result

    def _chosen(self, schema: Schema, inside: tuple[str, ...]) -> Schema:
        """An object of one of several kinds, by a word in it: it has the fields of all kinds together, and which of
        them each kind has is a condition. Fields that differ from kind to kind are open."""
        kinds = []
        for part in schema["allOf"]:
            then = part["then"]
            place = inside
            if "$ref" in then:
                name = then["$ref"].removeprefix("#/$defs/")
                if inside.count(name) >= NESTING_MAX:
                    return dict(OPEN)
                then, place = self._resolved(name), (*inside, name)
            kinds.append((part["if"], then, self._object({"type": "object", **then}, place)))
        merged: Schema = {}
        for _, _, kind in kinds:
            for name, value in kind.get("properties", {}).items():
                merged[name] = value if merged.get(name, value) == value else dict(OPEN)
        for name, value in schema.get("properties", {}).items():
            merged[name] = {"type": "string", **value}
        result: Schema = {"type": "object", "properties": merged}
        conditions = []
        if "anyOf" in schema and (condition := _condition({"anyOf": schema["anyOf"]}, merged)):
            conditions.append(condition)
        for if_, _, kind in kinds:
            applies = _condition(if_, merged)
            own = kind.get("properties", {}).keys() | schema.get("properties", {}).keys()
            strange = [{"required": [name]} for name in merged if name not in own]
            needs = list(kind.get("allOf", ()))
            needs += [{"required": kind["required"]}] if kind.get("required") else []
            needs += [{"not": {"anyOf": strange}}] if strange else []
            if applies and needs:
                conditions.append({"anyOf": [{"not": applies}, needs[0] if len(needs) == 1 else {"allOf": needs}]})
        if schema.get("required"):
            result["required"] = list(schema["required"])
        if conditions:
            result["allOf"] = conditions
        return result


def _types(schema: Schema) -> tuple[list[str], bool]:
    """The types that a value may have besides null, and whether it may be null."""
    if "type" not in schema and "enum" in schema and all(isinstance(word, str) for word in schema["enum"]):
        return ["string"], False
    if "type" not in schema and "const" in schema:
        return ["string"], False
    given = schema.get("type", [])
    types = [given] if isinstance(given, str) else list(given)
    return [type_ for type_ in types if type_ != "null"], "null" in types


def _conditions_only(choices: Iterable[Schema]) -> bool:
    """Whether these say only which fields there must be."""
    return all(set(choice) <= {"required", "properties", "not"} for choice in choices)


def _condition(schema: Schema, properties: Mapping[str, Any]) -> Schema:
    """A condition as it may stand in ``allOf`` and the like: without types, and of fields that are described outside;
    empty if it says nothing then."""
    result: Schema = {}
    for word, value in schema.items():
        match word:
            case "required":
                result["required"] = list(value)
            case "const":
                result["enum"] = [value]
            case "enum":
                result["enum"] = list(value)
            case "not":
                result["not"] = _condition(value, properties)
            case "anyOf" | "allOf":
                parts = [_condition(part, properties) for part in value]
                if word == "anyOf" and not all(parts):
                    continue  # one of them says nothing, so all of them together do not either
                result[word] = [part for part in parts if part]
            case "properties":
                described = {
                    name: condition
                    for name, part in value.items()
                    if name in properties and (condition := _within(part, properties[name]))
                }
                if described:
                    result["properties"] = described
    return result


def _within(schema: Schema, outside: Schema) -> Schema:
    """A condition on a field. Nothing is described in one that is open outside, so no condition on what is in it may
    stand. Null satisfies every condition on fields, so an object that must be there is also said not to be null."""
    inner = _condition(schema, outside.get("properties", {}))
    if "properties" not in outside:
        return {name: value for name, value in inner.items() if name == "enum"}
    return {**inner, "not": {"enum": [None]}} if schema.get("type") == "object" and outside.get("nullable") else inner
