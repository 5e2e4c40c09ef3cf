"""The guide names every built-in tool with its arguments, and every field of an agent."""

from __future__ import annotations

import re
from pathlib import Path

from workflow_runtime.invokers.agents import AgentDefinition, AgentLimits, AgentSettings
from workflow_runtime.invokers.agents.guardrail_entries import Check, Guardrail, Guardrails, Rule
from workflow_runtime.invokers.agents.model_choices import ModelChoice
from workflow_runtime.invokers.agents.tool_entries import AgentTool
from workflow_runtime.invokers.tools import ToolRegistry

GUIDE = (Path(__file__).parents[4] / "definitions" / "README.md").read_text(encoding="utf-8")


def fields_of(section: str) -> set[str]:
    """What the first columns of the tables in a section name."""
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_built_in_tool_is_described_with_its_arguments() -> None:
    block = GUIDE.partition("<!-- tools:begin -->")[2].partition("<!-- tools:end -->")[0]
    described = {
        title: fields_of(text) for title, text in re.findall(r"### `(\w+)`\n(.*?)(?=\n### |\Z)", block, re.DOTALL)
    }
    tools = ToolRegistry.load(None).describe()
    assert described == {id: {argument.name for argument in tool.arguments} for id, tool in tools.items()}


def test_every_field_of_an_agent_is_described() -> None:
    section = GUIDE.partition("\n## Agents\n")[2].partition("\n## ")[0]
    assert fields_of(section.partition("\n### ")[0]) == set(AgentDefinition.model_json_schema()["properties"])
    for model in (AgentSettings, AgentLimits, ModelChoice, AgentTool, Guardrails, Guardrail, Check, Rule):
        fields = {field.alias or name for name, field in model.model_fields.items()}
        assert {name for name in fields if f"`{name}" not in section and f"{name}:" not in section} == set(), model
