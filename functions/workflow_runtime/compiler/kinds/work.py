"""What workers run: agents and tools."""

from __future__ import annotations

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.kinds.kind import Checking, NodeKind, NodeParts, named_ids, template
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.work import AgentNode, ToolNode
from workflow_runtime.language.json_values import Json, walk_texts
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable, violation
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.specs import AgentSpec, ToolSpec


def _agent_spec(node: AgentNode, parts: NodeParts) -> AgentSpec:
    agent = parts.required("agent") if node.allow else node.agent
    return AgentSpec(
        agent,
        node.allow,
        parts.formula("prompt"),
        node.output_schema,
        session=parts.formula("session"),
        on_busy=node.on_busy or "",
        has_no_session=node.session is False,
    )


def _tool_spec(node: ToolNode, parts: NodeParts) -> ToolSpec:
    return ToolSpec(parts.required("tool") if node.allow else node.tool, node.allow)


def _agent_output(node: AgentNode, catalogue: Catalogue | None) -> Json:
    if node.output_schema is not None:
        return node.output_schema
    entry = catalogue.agents.get(node.agent) if catalogue is not None else None
    return entry.output_schema if entry is not None else None


def _tool_output(node: ToolNode, catalogue: Catalogue | None) -> Json:
    entry = catalogue.tools.get(node.tool) if catalogue is not None else None
    return entry.output_schema if entry is not None else None


def _check_agent(node: AgentNode, checking: Checking) -> None:
    _check_schema(node, checking)
    if checking.catalogue is None:
        return
    for field, id in named_ids(node.agent, node.allow, "agent"):
        if id not in checking.catalogue.agents:
            hint = checking.report.suggest(id, checking.catalogue.agents)
            checking.report.add(rules.UNKNOWN_AGENT, f"agent `{id}` is not registered", (*checking.place, field), hint)
        else:
            _check_workflows(checking.catalogue.agents[id], (*checking.place, field), checking)


def _check_workflows(agent: CatalogueEntry, place: DocumentPath, checking: Checking) -> None:
    """Those among the agent's tools, as a node of a workflow would have them."""
    known = checking.catalogue.workflows if checking.catalogue is not None else None
    for id in agent.workflows if known is not None else ():
        if id not in (known or ()):
            message = f"agent `{agent.id}` calls the workflow `{id}`, which there is not"
            checking.report.add(rules.UNKNOWN_WORKFLOW, message, place, checking.report.suggest(id, known or ()))


def _check_schema(node: AgentNode, checking: Checking) -> None:
    if node.output_schema is None or checking.unread("output_schema"):
        return
    try:
        for_model(node.output_schema)
    except SchemaUnusable as error:
        checking.report.add(rules.AGENT_SCHEMA, str(error), (*checking.place, "output_schema"))


def _check_tool(node: ToolNode, checking: Checking) -> None:
    if checking.catalogue is None:
        return
    for field, id in named_ids(node.tool, node.allow, "tool"):
        if id not in checking.catalogue.tools:
            hint = checking.report.suggest(id, checking.catalogue.tools)
            checking.report.add(rules.UNKNOWN_TOOL, f"tool `{id}` is not registered", (*checking.place, field), hint)
        elif not node.allow and not checking.unread("inputs") and not checking.is_call:
            _check_inputs(node, checking.catalogue.tools[id], checking)


def _check_inputs(node: ToolNode, tool: CatalogueEntry, checking: Checking) -> None:
    """What is given to a tool, against what it takes; of values that are computed, only that they are there."""
    if tool.input_schema is None:
        return
    arguments = {argument.name: argument for argument in tool.arguments}
    for name, argument in arguments.items():
        if argument.required and name not in node.inputs:
            message = f"tool `{tool.id}` needs `{name}` ({argument.type})"
            field = "inputs" if node.inputs else "tool"
            checking.report.add(rules.TOOL_INPUTS, message, (*checking.place, field), f"Add `{name}` to `inputs`.")
    for name, value in node.inputs.items():
        place = (*checking.place, "inputs", name)
        if name not in arguments and not tool.takes_others:
            hint = checking.report.suggest(name, arguments)
            checking.report.add(rules.TOOL_INPUTS, f"tool `{tool.id}` takes no `{name}`", place, hint)
        elif name in arguments and not any(has_template(text) for _, text in walk_texts(value)):
            part = {**tool.input_schema, "required": []}
            problem = violation(part, {name: value})
            if problem is not None:
                message = f"tool `{tool.id}` does not take this as `{name}`: {problem.removeprefix(f'{name}: ')}"
                checking.report.add(rules.TOOL_INPUTS, message, place, f"It takes: {arguments[name].type}.")


KINDS: dict[type[NodeDefinition], NodeKind] = {
    AgentNode: NodeKind(
        formulas=(template("agent", or_id=True), template("prompt"), template("session", or_number=True)),
        check=_check_agent,
        output=_agent_output,
        spec=_agent_spec,
        pool="agent",
        may_read_secrets=True,
        reads_inputs=True,
        has_fields=True,
        takes_time=True,
        has_policies=True,
        may_undo=True,
    ),
    ToolNode: NodeKind(
        formulas=(template("tool", or_id=True),),
        check=_check_tool,
        output=_tool_output,
        spec=_tool_spec,
        pool="tool",
        may_read_secrets=True,
        reads_inputs=True,
        has_fields=True,
        takes_time=True,
        has_policies=True,
        may_undo=True,
    ),
}
