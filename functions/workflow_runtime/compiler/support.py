"""Stage *support*: what the language knows and this runtime refuses, or accepts without acting on it yet."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.sites import DocumentPath
from workflow_runtime.definition import Gaps
from workflow_runtime.definition.model import (
    AgentNode,
    NodeDefinition,
    PassNode,
    ToolNode,
    UnsupportedNode,
    WorkflowDefinition,
)


def check_support(definition: WorkflowDefinition, gaps: Gaps, report: Report) -> None:
    for what, path in _unsupported(definition, gaps):
        report.add(rules.NOT_SUPPORTED, f"{what} not supported yet", path)
    for path in _not_in_force(definition):
        report.add(rules.NOT_IN_FORCE, f"`{path[-1]}` is validated, but not in force yet", path)
    for position, node in enumerate(definition.nodes):
        for field, reason in () if position in gaps.untyped else _without_effect(node):
            report.add(rules.NO_EFFECT, f"`{field}` has no effect here: {reason}", ("nodes", position, field))


def has_own_names(definition: WorkflowDefinition, gaps: Gaps) -> bool:
    """Whether parts that are not supported, or could not be read, may give names a meaning that they lack elsewhere."""
    return (
        gaps.hide_calls
        or "type" in gaps.fields
        or definition.type != "dag"
        or any(isinstance(node, UnsupportedNode) or node.callback is not None for node in definition.nodes)
        or any("callback" in fields for fields in gaps.nodes.values())
    )


def _unsupported(definition: WorkflowDefinition, gaps: Gaps) -> Iterator[tuple[str, DocumentPath]]:
    is_type_known = gaps.fields.isdisjoint({"type", "states", "initial_state", "final_states"})
    if is_type_known and definition.type != "dag":
        yield f"workflows of type `{definition.type}` are", ("type",)
    elif is_type_known and (definition.states or definition.initial_state or definition.final_states):
        yield "states are", ("states",)
    for position, node in enumerate(definition.nodes):
        if isinstance(node, UnsupportedNode):
            yield f"{node.what} nodes are", ("nodes", position)
        if node.callback is not None:
            yield "callbacks are", ("nodes", position, "callback")


def _not_in_force(definition: WorkflowDefinition) -> Iterator[DocumentPath]:
    for field in ("timeout", "error_handlers", "compensation", "triggers"):
        if getattr(definition, field):
            yield (field,)
    for position, node in enumerate(definition.nodes):
        for field in ("retry_policy", "fallback", "compensate", "limiter"):
            if getattr(node, field):
                yield ("nodes", position, field)
        if any(rule.do != "fail" for rule in node.on_error):
            yield ("nodes", position, "on_error")


def _without_effect(node: NodeDefinition) -> Iterator[tuple[str, str]]:
    if isinstance(node, AgentNode | ToolNode | UnsupportedNode):
        return
    if node.timeout is not None:
        yield "timeout", f"a node of type `{node.type}` takes no time"
    if node.inputs and not isinstance(node, PassNode):
        yield "inputs", "this node does not read them"
