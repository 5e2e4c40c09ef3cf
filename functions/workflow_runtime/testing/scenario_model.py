"""What a scenario file may say, as data, and its JSON Schema; `scenario` says what it means and runs it."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.testing.steps import STEP_FIELDS, WHAT, Step, fields_with


class Fail(msgspec.Struct, forbid_unknown_fields=True):
    """Attempts of ``node`` (a path or id, or the id of an agent or tool) fail: the first ``times``, or all."""

    node: str
    type: str = "execution_error"
    message: str = "made to fail by the scenario"
    times: int | None = None


class ExpectedError(msgspec.Struct, forbid_unknown_fields=True):
    """The error of a failed execution; ``message`` is a part of it."""

    type: str | None = None
    message: str | None = None
    node: str | None = None


class Expect(msgspec.Struct, forbid_unknown_fields=True):
    """How the execution must look in the end."""

    status: str = "completed"
    output: Json | msgspec.UnsetType = msgspec.UNSET
    path: list[str | list[str]] | None = None
    skipped: list[str] = []
    compensated: list[str] | None = None
    error: ExpectedError | None = None
    nodes: dict[str, dict[str, Json]] = {}
    events: list[str] | None = None
    states: list[str] | dict[str, list[str]] | None = None
    transitions: list[str | dict[str, Json]] | None = None
    variables: dict[str, Json] | None = None
    published: list[str | dict[str, Json]] | None = None


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """One scenario: what goes in, what happens meanwhile, and what must come out."""

    expect: Expect
    name: str = ""
    workflow: str | None = None
    mocks: str | dict[str, Json] | None = None
    input: dict[str, Json] = {}
    fail: list[Fail] = []
    events: list[Step] = []


SHARED_KEYS = ("workflow", "mocks", "scenarios")
"""What a file with several scenarios says at the top."""


def json_schema(mocks: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of scenario files: one scenario, or several below `scenarios`. ``mocks``: that of mocks files,
    for mocks that stand in a scenario file.
    """
    (entry,), definitions = msgspec.json.schema_components([Scenario], ref_template="#/$defs/{name}")
    definitions["Step"]["oneOf"] = [
        {"required": [what], "properties": dict.fromkeys(sorted(STEP_FIELDS - fields_with(what)), False)}
        for what in WHAT
    ]
    definitions["Scenario"]["properties"]["mocks"] = {
        "description": "A mocks file, from here; or the mocks themselves.",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/Mocks"}],
    }
    inner = {name: part for name, part in mocks.items() if name not in ("$schema", "$defs")}
    several = {
        "type": "object",
        "properties": {
            "workflow": {"type": "string"},
            "mocks": definitions["Scenario"]["properties"]["mocks"],
            "scenarios": {"type": "array", "items": entry, "minItems": 1},
        },
        "required": ["scenarios"],
        "additionalProperties": False,
    }
    return {
        "title": "Scenarios",
        "description": "What goes into a workflow, and what must come out: one scenario, or several with the same "
        "workflow and mocks.",
        "type": "object",
        "if": {"required": ["scenarios"]},
        "then": several,
        "else": entry,
        "$defs": {**definitions, **mocks["$defs"], "Mocks": inner},
    }
