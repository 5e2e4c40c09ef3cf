"""Compensations: what cannot undo anything, what has no effect there, and what nobody undoes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.graphs import GraphSource, Undone
from workflow_runtime.compiler.collect.sources import NOT_OF_COMPENSATIONS, Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.names.bindings import Bound
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.work import ToolNode
from workflow_runtime.definition.recovery import ANY, Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.findings import Rule
from workflow_runtime.plan.catalogue import Catalogue, Effects

IDLE_FIELDS = (*NOT_OF_COMPENSATIONS, "join", "on_skip")


def check_compensations(
    definition: WorkflowDefinition,
    gaps: Gaps,
    sources: Sources,
    graphs: Sequence[Graph | None],
    catalogue: Catalogue | None,
    report: Report,
) -> None:
    """What compensations say of themselves, and what is not undone. ``graphs``: the finished ones."""
    for graph in sources.graphs:
        _check_targets(graph, report)
        if graph.undoes is not None:
            _check_node(graph, report)
            _check_id(graph, sources.graphs[graph.undoes.graph], report)
    if any(graph.undoes is not None for graph in sources.graphs):
        _warn_of_effects(sources, graphs, catalogue, report)
    elif definition.compensation is not None and not gaps.hide_calls and gaps.fields.isdisjoint(("nodes", ANY)):
        message = "no node says what undoes it (`compensate`), so `compensation` has no effect"
        report.add(rules.NO_EFFECT, message, ("compensation",))


def _check_targets(graph: GraphSource, report: Report) -> None:
    """The nodes that are named as compensations."""
    for position, node in graph.compensated():
        id = node.compensate
        if not isinstance(id, str):
            continue
        place = graph.at(position, "compensate")
        if graph.index.get(id) == position:
            report.add(rules.SELF_EDGE, f"`{id}` cannot undo itself", place)
        elif id not in graph.index and not graph.gaps.hides_id(id):
            report.add(rules.UNKNOWN_NODE, f"there is no node `{id}`", place, report.suggest(id, graph.index))


def _check_node(graph: GraphSource, report: Report) -> None:
    assert graph.undoes is not None
    node = graph.undoes.written
    if not kind_of_node(node).may_undo:
        message = f"a node of type `{node.type}` cannot undo others"
        report.add(rules.BAD_COMPENSATION, message, graph.at(0), "Agents and tools can.")
        return
    if node.when is not None:
        message = "a compensation has no `when`: every visit that succeeded is undone"
        hint = "Let the agent or tool see for itself whether there is anything to undo."
        report.add(rules.BAD_COMPENSATION, message, graph.at(0, "when"), hint)
    is_defined_there = graph.place[-1] == "compensate"  # else its edges are reported as such
    for field in IDLE_FIELDS if is_defined_there else IDLE_FIELDS[1:]:
        if field in node.model_fields_set and getattr(node, field):
            message = f"`{field}` has no effect here: the node only runs to undo others"
            report.add(rules.NO_EFFECT, message, graph.at(0, field))


def _check_id(graph: GraphSource, around: GraphSource, report: Report) -> None:
    """A compensation that is defined in a node shares the ids of the graph."""
    id = graph.nodes[0].id
    assert graph.undoes is not None
    if id in around.index and around.index[id] not in around.undoing and not around.gaps.hides_id(id):
        message = f"another node of this graph is already called `{id}`"
        report.add(rules.DUPLICATE_NAME, message, graph.at(0, "id"))


def _warn_of_effects(
    sources: Sources, graphs: Sequence[Graph | None], catalogue: Catalogue | None, report: Report
) -> None:
    """Nodes whose tools have effects that stay, though those of others do not. What is said of a node is said of its
    fallback, too."""
    last = -1 if sources.has_chart or graphs[0] is None else _last(sources.graphs[0], graphs[0])
    for graph in sources.graphs:
        for position, node in graph.own_nodes if graph.undoes is None else ():
            effects = _effects(node, catalogue) if node.compensate is None else Effects.NONE
            is_spared = (not graph.number and position == last) or position in graph.fallbacks
            if effects is not Effects.NONE and not is_spared and not graph.gaps.has(position, "compensate"):
                message = f"`{node.id}` has effects that nothing undoes when others are undone"
                report.add(rules.NOT_UNDONE, message, graph.at(position, *(() if graph.is_call else ("id",))))


def _last(source: GraphSource, graph: Graph) -> int:
    """The node whose success completes the execution, so that it never has to be undone: all others come before it; -1:
    there is none."""
    continued = {link.source for links in graph.incoming for link in links}
    ends = [node for node, _ in source.own_nodes if node not in continued and node not in source.fallbacks]
    return ends[0] if len(ends) == 1 else -1


def _effects(node: NodeDefinition, catalogue: Catalogue | None) -> Effects:
    """Those of a tool node; ``none`` if they are not known."""
    if not isinstance(node, ToolNode) or node.allow or catalogue is None:
        return Effects.NONE
    entry = catalogue.tools.get(node.tool)
    return entry.effects if entry is not None and entry.effects is not None else Effects.NONE


def check_reads(bound: Iterable[Bound], sources: Sources, firsts: list[int], report: Report) -> None:
    """Reads of nodes that are gone when a compensation runs, and of nodes that run only then."""
    if not any(graph.undoes is not None or graph.undoing for graph in sources.graphs):
        return
    for item in bound:
        undoes = item.place.undoes if isinstance(item.place, GraphSource) else None
        for read in item.reads:
            if read.binding.node < 0:
                continue
            number = bisect_right(firsts, read.binding.node) - 1
            graph, node = sources.graphs[number], read.binding.node - firsts[number]
            message = _unread(graph, node, undoes)
            if message is not None:
                rule, text = message
                report.add(rule, text, read.use.path, within=read.use.text, offset=read.use.offset)


def _unread(graph: GraphSource, node: int, undoes: Undone | None) -> tuple[Rule, str] | None:
    id = graph.nodes[node].id if node < len(graph.nodes) else ""
    if graph.undoes is None and node in graph.undoing:
        return rules.NOT_ENDED, f"`{id}` only runs to undo others: it reads as null here"
    if undoes is None or graph.undoes is not None or not graph.number:
        return None
    if graph.number == undoes.graph and node in undoes.nodes:
        return None
    return rules.GONE, f"`{id}` may be gone when this runs"
