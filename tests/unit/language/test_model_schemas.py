"""Output schemas as models are given them."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.language.model_schemas import SCHEMAS_MAX, for_model
from workflow_runtime.language.schemas import SchemaUnusable


def inner(schema: Any) -> Any:
    """The schema of property `a` of an object schema, written out."""
    return for_model({"type": "object", **schema})[0]["properties"]["a"]


def test_references_are_written_out_and_definitions_left_out() -> None:
    text = {"type": "string"}
    given = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"a/b": text, "list": {"type": "array", "items": {"$ref": "#/$defs/a~1b"}}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/list"}, "b": {"$ref": "#/$defs/list/items"}},
    }
    assert for_model(given) == (
        {"type": "object", "properties": {"a": {"type": "array", "items": text}, "b": text}},
        False,
    )


def test_what_stands_beside_a_reference_holds_too() -> None:
    defs = {"$defs": {"n": {"type": "integer", "minimum": 0}}}
    beside = {"$ref": "#/$defs/n", "description": "d", "maximum": 9}
    assert inner({**defs, "properties": {"a": beside}}) == {
        "type": "integer", "minimum": 0, "description": "d", "maximum": 9,
    }  # fmt: skip
    both = {"allOf": [{"type": "integer", "minimum": 0}, {"minimum": 5}]}
    assert inner({**defs, "properties": {"a": {"$ref": "#/$defs/n", "minimum": 5}}}) == both


def test_a_reference_back_is_described_and_not_followed() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    found = inner({"$defs": {"Node": node}, "properties": {"a": {"$ref": "#/$defs/Node"}}})
    assert found["properties"]["next"] == {"type": "object", "description": "Of the same form as `Node`."}
    assert inner({"properties": {"a": {"$ref": "#"}}}) == {
        "type": "object",
        "description": "Of the same form as the whole.",
    }
    circle = {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}
    assert inner({"$defs": circle, "properties": {"a": {"$ref": "#/$defs/x"}}}) == {
        "description": "Of the same form as `x`."
    }


def test_values_and_names_that_look_like_references_are_left_as_they_are() -> None:
    value = {"const": {"$ref": "#/nowhere"}, "default": {"$defs": 1}}
    assert inner({"properties": {"a": value}}) == value
    named = {"properties": {"$ref": {"type": "string"}, "definitions": True}}
    assert inner({"properties": {"a": named}}) == named


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#/$defs/no"}, "nothing at #/\\$defs/no"),
        ({"$ref": "#anchor"}, "use #/"),
        ({"$ref": "https://example.com/x"}, "use #/"),
        ({"$dynamicRef": "#x"}, "dynamicRef"),
    ],
)
def test_what_models_cannot_be_given_is_said(schema: Any, reason: str) -> None:
    with pytest.raises(SchemaUnusable, match=reason):
        for_model(schema)


def test_references_that_grow_without_bounds_end() -> None:
    bomb: dict[str, Any] = {"d0": {"type": "string"}}
    for number in range(1, 40):
        bomb[f"d{number}"] = {"anyOf": [{"$ref": f"#/$defs/d{number - 1}"}] * 2}
    with pytest.raises(SchemaUnusable, match=f"{SCHEMAS_MAX:,}"):
        for_model({"$defs": bomb, "$ref": "#/$defs/d39"})
    chain = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(2000)}
    with pytest.raises(SchemaUnusable, match="levels deep"):
        for_model({"$defs": chain, "$ref": "#/$defs/d0"})
