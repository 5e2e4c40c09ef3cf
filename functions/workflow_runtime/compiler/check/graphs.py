"""Stage *checks*: what can be said of a finished graph before it runs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.sources import GraphSource
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.workflow import (
    AgentNode,
    AggregationNode,
    FailNode,
    NodeDefinition,
    PassNode,
    SucceedNode,
    SwitchNode,
    ToolNode,
    UnsupportedNode,
)
from workflow_runtime.findings import Rule
from workflow_runtime.language.expressions import equals
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.yaml.templates import has_template
from workflow_runtime.plan.graph import Join, JoinKind


class Known(msgspec.Struct, frozen=True):
    """Ids of the agents and tools that are registered where the workflow will run."""

    agents: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()


WITH_FIELDS = (AgentNode, ToolNode, AggregationNode, PassNode, StateMachineNode)
"""Nodes whose output has fields that can be chosen from."""


def check_nodes(graph: GraphSource, known: Known | None, report: Report) -> None:
    """What one node alone tells, and ids that several share (those at the top the loader has compared)."""
    first: dict[str, int] = {}
    for position, node in enumerate(graph.nodes):
        if isinstance(node, SwitchNode) and node.branches and not graph.gaps.has(position, "branches"):
            _check_switch(node, graph.at(position, "branches"), report)
        shaped = position in graph.gaps.untyped or isinstance(node, WITH_FIELDS)
        if isinstance(node.outputs, tuple) and not shaped:
            message = f"`{node.id}` has no fields to choose from"
            report.add(rules.OUTPUT_LIST, message, graph.at(position, "outputs"))
        if known is not None:
            _check_known(node, graph, position, known, report)
        if graph.number and node.id and first.setdefault(node.id, position) != position:
            message = f"another node of this graph is already called `{node.id}`"
            report.add(rules.DUPLICATE_NAME, message, graph.at(position, "id"))


def check_graph(source: GraphSource, graph: Graph, joins: list[Join], report: Report) -> None:
    """What the graph as a whole tells: joins that cannot be met, nodes that cannot run."""
    for position, node in enumerate(source.nodes):
        count = len(graph.alive_sources(position))
        join = joins[position]
        place = source.at(position, "join")
        if join.kind is JoinKind.AT_LEAST and join.count > count:
            report.add(rules.JOIN_COUNT, f"`{node.id}` needs {join.count} edges alive and has {count}", place)
        elif not count and "join" in node.model_fields_set and join.kind is not JoinKind.ALL:
            report.add(
                rules.JOIN_WITHOUT_EDGES, f"`{node.id}` waits for no node, so `{join.kind}` means nothing", place
            )
    for position, reason in _never_run(source.nodes, graph, joins):
        message = f"`{source.nodes[position].id}` can never run: {reason}"
        report.add(rules.UNREACHABLE, message, source.at(position, "id"))


def _check_switch(node: SwitchNode, place: DocumentPath, report: Report) -> None:
    if not any(branch.is_default for branch in node.branches):
        message = f"`{node.id}` has no default: when nothing matches, none of its targets runs"
        report.add(rules.NO_DEFAULT, message, place)
    seen: list[Json] = []
    texts: set[str] = set()
    for number, branch in enumerate(node.branches):
        for value in branch.values or ():
            scalar = _text_of(value)
            if scalar in texts if scalar is not None else any(equals(value, other) for other in seen):
                shown = msgspec.json.encode(value).decode()
                message = f"an earlier branch of `{node.id}` already takes {shown}"
                report.add(rules.DUPLICATE_CASE, message, (*place, number, "case"))
            if scalar is None:
                seen.append(value)
            else:
                texts.add(scalar)


def _text_of(value: Json) -> str | None:
    """The text by which a text, number or boolean matches another of them (language §2.2); None for other values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def _check_known(node: NodeDefinition, graph: GraphSource, position: int, known: Known, report: Report) -> None:
    for noun, rule, field, ids, registered in _called_ids(node, known):
        for id in ids:
            if id and id not in registered and not has_template(id):  # what could not be read is empty or computed
                report.add(
                    rule,
                    f"{noun} `{id}` is not registered",
                    graph.at(position, field),
                    report.suggest(id, sorted(registered)),
                )


def _called_ids(node: NodeDefinition, known: Known) -> Iterator[tuple[str, Rule, str, tuple[str, ...], frozenset[str]]]:
    match node:
        case AgentNode():
            ids, field = (node.allow, "allow") if node.allow else ((node.agent,), "agent")
            yield "agent", rules.UNKNOWN_AGENT, field, ids, known.agents
        case ToolNode():
            ids, field = (node.allow, "allow") if node.allow else ((node.tool,), "tool")
            yield "tool", rules.UNKNOWN_TOOL, field, ids, known.tools
        case _:
            pass


def _never_run(nodes: tuple[NodeDefinition, ...], graph: Graph, joins: list[Join]) -> Iterator[tuple[int, str]]:
    """Nodes that no edge can bring alive: what lies behind a `fail` or a `succeed`, which both end the scope."""
    final = {position for position, node in enumerate(nodes) if isinstance(node, FailNode | SucceedNode)}
    dead: set[int] = set()
    for node in graph.order:
        sources = graph.alive_sources(node)
        join = joins[node]
        alive = sum(source not in final and source not in dead for source in sources)
        needed = {JoinKind.ALL_SUCCESS: len(sources), JoinKind.AT_LEAST: join.count, JoinKind.ALL_DONE: 0}.get(
            join.kind, 1
        )
        if alive >= needed or len(sources) < max(needed, 1):
            continue
        dead.add(node)
        if node < graph.count and not isinstance(nodes[node], UnsupportedNode):
            ending = next((source for source in sources if source in final), None)
            behind = next((source for source in sources if source in dead), sources[0])
            shown = graph.authored(behind if ending is None else ending)
            yield node, f"`{graph.ids[shown]}` " + ("never does" if ending is None else "ends the workflow")
