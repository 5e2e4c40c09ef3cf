"""Stage *support*: what the language knows and this runtime refuses, or accepts without acting on it yet."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.sources import CHART_FIELDS, Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.recovery import Gaps


def check_support(sources: Sources, report: Report) -> None:
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            for path, reason in () if position in graph.gaps.untyped else _without_effect(node):
                message = f"`{path[-1]}` has no effect here: {reason}"
                report.add(rules.NO_EFFECT, message, graph.at(position, *path))


def has_own_names(gaps: Gaps) -> bool:
    """Whether parts that could not be read may give names a meaning that they lack elsewhere."""
    return (
        gaps.hide_calls
        or not gaps.fields.isdisjoint(("type", *CHART_FIELDS))
        or any("callback" in fields for fields in gaps.nodes.values())
    )


def _without_effect(node: NodeDefinition) -> Iterator[tuple[DocumentPath, str]]:
    for field, reason in _fields_without_effect(node):
        yield (field,), reason
    for number, policy in enumerate(node.retry_policy):
        if policy.fresh is not None and node.type != "agent":
            yield ("retry_policy", number, "fresh"), "only agents have steps that a next attempt could go on from"


def _fields_without_effect(node: NodeDefinition) -> Iterator[tuple[str, str]]:
    kind = kind_of_node(node)
    if node.timeout is not None and not kind.takes_time:
        yield "timeout", f"a node of type `{node.type}` takes no time"
    if node.max_wait is not None and kind.pool is None:
        yield "max_wait", "no worker runs this node, so it never waits for one"
    for field in ("limiter", "cost"):
        if getattr(node, field) and kind.pool is None:
            yield field, "no worker runs this node, and limiters hold back what workers run"
    if node.callback is not None and kind.pool is None:
        yield "callback", "task tokens are given to agents and tools"
    for field in ("retry_policy", "fallback", "on_error", "compensate"):
        if getattr(node, field) and not kind.has_policies:
            yield field, "it is for nodes that do work or wait; this one only decides, and would decide the same again"
    if node.inputs and not kind.reads_inputs:
        yield "inputs", "this node does not read them"
