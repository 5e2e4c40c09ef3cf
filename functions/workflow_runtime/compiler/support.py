"""Stage *support*: what the language knows and this runtime refuses, or accepts without acting on it yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.sources import CHART_FIELDS, Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.recovery import Gaps


def check_support(sources: Sources, report: Report) -> None:
    models = {type(node): node for node in sources.nodes}
    idle = {model: tuple(_fields_without_effect(node)) for model, node in models.items()}
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            for path, reason in () if position in graph.gaps.untyped else _without_effect(node, idle[type(node)]):
                message = f"`{path[-1]}` has no effect here: {reason}"
                report.add(rules.NO_EFFECT, message, graph.at(position, *path))


def has_own_names(gaps: Gaps) -> bool:
    """Whether parts that could not be read may give names a meaning that they lack elsewhere."""
    return (
        gaps.hide_calls
        or not gaps.fields.isdisjoint(("type", *CHART_FIELDS))
        or any("callback" in fields for fields in gaps.nodes.values())
    )


def _without_effect(node: NodeDefinition, idle: Iterable[tuple[str, str]]) -> Iterator[tuple[DocumentPath, str]]:
    for field, reason in idle:
        if getattr(node, field):
            yield (field,), reason
    for number, policy in enumerate(node.retry_policy):
        if policy.fresh is not None and node.type != "agent":
            yield ("retry_policy", number, "fresh"), "only agents have steps that a next attempt could go on from"


def _fields_without_effect(node: NodeDefinition) -> Iterator[tuple[str, str]]:
    """The fields that mean nothing in a node of this type, each with the reason."""
    kind = kind_of_node(node)
    if not kind.takes_time:
        yield "timeout", f"a node of type `{node.type}` takes no time"
    if kind.pool is None:
        yield "max_wait", "no worker runs this node, so it never waits for one"
        for field in ("limiter", "cost"):
            yield field, "no worker runs this node, and limiters hold back what workers run"
        yield "callback", "task tokens are given to agents and tools"
    if not kind.has_policies:
        for field in ("retry_policy", "fallback", "on_error", "compensate"):
            yield field, "it is for nodes that do work or wait; this one only decides, and would decide the same again"
    if not kind.reads_inputs:
        yield "inputs", "this node does not read them"
