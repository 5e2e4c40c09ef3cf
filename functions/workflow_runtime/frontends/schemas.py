"""JSON Schemas of the files that people write, for editors: workflows, agents, tools, mocks and scenarios.

``python -m workflow_runtime.frontends.schemas`` rewrites them: in the package, so that an installed one has them, and
beside the definitions, where editors look for them; ``--check`` says whether they are current (else: exit code 1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from workflow_runtime.definition import schema as workflow_schema
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.mocks.file import TOP_KEYS
from workflow_runtime.invokers.tools.mcp.servers import McpServer
from workflow_runtime.invokers.tools.registry import Variant
from workflow_runtime.testing import scenario_model

PACKAGED = Path(__file__).parents[1] / "schemas"
"""Where an installed package has them, as `<kind>.schema.json`."""
BESIDE_DEFINITIONS = Path(__file__).parents[3] / "definitions"


def json_schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file: ``workflow``, ``agents``, ``tools``, ``mcp``, ``mocks``, ``scenario``."""
    mocks = _mocks()
    return {
        "workflow": workflow_schema.json_schema(),
        "agents": _entries("agents", "Agents: one, or a list below `agents`.", AgentDefinition),
        "tools": _entries("tools", "Tools made of others: one, or a list below `tools`.", Variant),
        "mcp": _entries("mcp", "MCP servers: one, or a list below `mcp`.", McpServer),
        "mocks": mocks,
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
