"""JSON Schemas of the files that people write, for editors: workflows, agents, tools, limits, mocks, teams, scenarios.

``python -m workflow_runtime.frontends.schemas`` rewrites them: in the package, so that an installed one has them, and
beside the definitions, where editors look for them; ``--check`` says whether they are current (else: exit code 1).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from workflow_runtime.definition import schema as workflow_schema
from workflow_runtime.definition.limits import LimiterDefinition
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.mocks.file import TOP_KEYS
from workflow_runtime.invokers.teams import Team
from workflow_runtime.invokers.tools.mcp.servers import McpServer
from workflow_runtime.invokers.tools.registry import Variant
from workflow_runtime.testing import scenario_model

PACKAGED = Path(__file__).parents[1] / "schemas"
"""Where an installed package has them, as `<kind>.schema.json`."""
BESIDE_DEFINITIONS = Path(__file__).parents[3] / "definitions"


def json_schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file: ``workflow``, ``agents``, ``tools``, ``mcp``, ``limits``, ``mocks``, ``team``,
    ``scenario``."""
    mocks, workflow = _mocks(), workflow_schema.json_schema()
    return {
        "workflow": workflow,
        "agents": _entries("agents", "Agents: one, or a list below `agents`.", AgentDefinition),
        "tools": _entries("tools", "Tools made of others: one, or a list below `tools`.", Variant),
        "mcp": _entries("mcp", "MCP servers: one, or a list below `mcp`.", McpServer),
        "limits": _limits(workflow["$defs"]),
        "mocks": mocks,
        "team": _team(),
        "scenario": {"$schema": workflow_schema.DIALECT, **scenario_model.json_schema(mocks)},
    }


def _entries(plural: str, description: str, model: type[AgentDefinition | McpServer | Variant]) -> dict[str, Any]:
    """One entry of ``model``, or a list of them below the key ``plural``."""
    entry = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions = entry.pop("$defs", {})
    listed = {
        "type": "object",
        "properties": {plural: {"type": "array", "items": {"$ref": "#/$defs/entry"}}},
        "required": [plural],
        "additionalProperties": False,
    }
    return {
        "$schema": workflow_schema.DIALECT,
        "title": plural.capitalize(),
        "description": description,
        "type": ["object", "null"],
        "if": {"type": "object", "required": [plural]},
        "then": listed,
        "else": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/entry"}]},
        "$defs": {**definitions, "entry": entry},
    }


def _team() -> dict[str, Any]:
    team = Team.model_json_schema()
    team.pop("description", None)
    return {
        "$schema": workflow_schema.DIALECT,
        "title": "Team",
        "description": "A team of agents, which awr expand writes out as a workflow.",
        "type": "object",
        "properties": {"team": team},
        "required": ["team"],
        "additionalProperties": False,
    }


def _limits(definitions: dict[str, Any]) -> dict[str, Any]:
    """Limiters by name, as workflows have them too."""
    limiter = LimiterDefinition.__name__
    needed: dict[str, Any] = {}
    missing = {limiter}
    while missing:
        needed |= {name: definitions[name] for name in missing}
        missing = {name for schema in needed.values() for name in _referred(schema)} - needed.keys()
    return {
        "$schema": workflow_schema.DIALECT,
        "title": "Limits",
        "description": "The limiters that all workflows share, by name.",
        "type": ["object", "null"],
        "properties": {"limits": {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{limiter}"}}},
        "required": ["limits"],
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "$defs": {name: needed[name] for name in sorted(needed)},
    }


def _referred(schema: Any) -> Iterator[str]:
    """The definitions that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from _referred(item)
    elif isinstance(schema, dict):
        for key, item in schema.items():
            if key == "$ref":
                yield item.rpartition("/")[2]
            else:
                yield from _referred(item)


def _mocks() -> dict[str, Any]:
    duration = {"type": ["number", "string"], "description": "How long the call takes."}
    error = {
        "type": "object",
        "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        "required": ["type"],
        "additionalProperties": False,
    }
    result = {
        "return": {"description": "The output (template)."},
        "raise": {"$ref": "#/$defs/error"},
        "delay": duration,
    }
    case = {
        "type": "object",
        "properties": {
            "match": {"type": ["string", "boolean"], "description": "Expression over the inputs."},
            **result,
        },
        "required": ["match"],
        "additionalProperties": False,
    }
    behaviour = {
        "type": "object",
        "properties": {
            **result,
            "cases": {"type": "array", "items": {"$ref": "#/$defs/case"}, "minItems": 1},
            "default": {"$ref": "#/$defs/behaviour"},
        },
        "additionalProperties": False,
    }
    one = {"$ref": "#/$defs/behaviour"}
    by_id = {"type": "object", "additionalProperties": {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}}
    return {
        "$schema": workflow_schema.DIALECT,
        "title": "Mocks",
        "description": "What agents and tools answer in tests, by id; of several behaviours, each call takes the next.",
        "type": ["object", "null"],
        "properties": {key: one if key == "default" else by_id for key in TOP_KEYS},
        "additionalProperties": False,
        "$defs": {"behaviour": behaviour, "case": case, "error": error},
    }


def files() -> dict[Path, str]:
    """Every generated file and what it has to say."""
    texts = {
        f"{kind}.schema.json": msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"
        for kind, schema in json_schemas().items()
    }
    return {folder / name: text for folder in (PACKAGED, BESIDE_DEFINITIONS) for name, text in texts.items()}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` say whether they are current."""
    wanted = files()
    if "--check" in (sys.argv[1:] if arguments is None else arguments):
        return 0 if all(path.exists() and path.read_text("utf-8") == text for path, text in wanted.items()) else 1
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
