"""What definitions of agents may say, and this runtime does not act on yet: agents that say it are refused."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.tool_entries import AgentTool

Place = tuple[str | int, ...]


def not_in_force(agent: AgentDefinition) -> Iterator[Place]:
    """The places in ``agent`` of fields that it uses and that do nothing yet."""
    if agent.on_unknown == "ask":
        yield ("on_unknown",)
    for number, entry in enumerate(agent.tools):
        for field in _of_tool(entry):
            yield "tools", number, field


def _of_tool(entry: AgentTool) -> Iterator[str]:
    if entry.kind != "tool":
        yield entry.kind
    if entry.as_ == "node":
        yield "as"
    if entry.on_unknown == "ask":
        yield "on_unknown"
    if entry.approve is not None:
        yield "approve"
