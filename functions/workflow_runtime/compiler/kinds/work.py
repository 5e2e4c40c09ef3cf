"""What workers run: agents and tools (language §5)."""

from __future__ import annotations

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.kinds.kind import Checking, NodeKind, NodeParts, template
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.work import AgentNode, ToolNode
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.specs import AgentSpec, ToolSpec


def _agent_spec(node: AgentNode, parts: NodeParts) -> AgentSpec:
    agent = parts.required("agent") if node.allow else node.agent
    return AgentSpec(agent, node.allow, parts.formula("prompt"), node.output_schema)


def _tool_spec(node: ToolNode, parts: NodeParts) -> ToolSpec:
    return ToolSpec(parts.required("tool") if node.allow else node.tool, node.allow)


def _check_agent(node: AgentNode, checking: Checking) -> None:
    if checking.catalogue is None:
        return
    for field, id in _named(node.agent, node.allow, "agent"):
        if id not in checking.catalogue.agents:
            hint = checking.report.suggest(id, checking.catalogue.agents)
            checking.report.add(rules.UNKNOWN_AGENT, f"agent `{id}` is not registered", (*checking.place, field), hint)


def _check_tool(node: ToolNode, checking: Checking) -> None:
    if checking.catalogue is None:
        return
    for field, id in _named(node.tool, node.allow, "tool"):
        if id not in checking.catalogue.tools:
            hint = checking.report.suggest(id, checking.catalogue.tools)
            checking.report.add(rules.UNKNOWN_TOOL, f"tool `{id}` is not registered", (*checking.place, field), hint)


def _named(id: str, allow: tuple[str, ...], field: str) -> list[tuple[str, str]]:
    """The ids that may be meant, each with the field that names it; an empty one could not be read."""
    named = [("allow", item) for item in allow] if allow else [(field, id)]
    return [(field, item) for field, item in named if item and not has_template(item)]


KINDS: dict[type[NodeDefinition], NodeKind] = {
    AgentNode: NodeKind(
        formulas=(template("agent"), template("prompt")),
        check=_check_agent,
        spec=_agent_spec,
        pool="agent",
        may_read_secrets=True,
        reads_inputs=True,
        has_fields=True,
        takes_time=True,
    ),
    ToolNode: NodeKind(
        formulas=(template("tool"),),
        check=_check_tool,
        spec=_tool_spec,
        pool="tool",
        may_read_secrets=True,
        reads_inputs=True,
        has_fields=True,
        takes_time=True,
    ),
}
