"""Which nodes of a graph may have links that the definition does not show, because something could not be read.

What is said of joins, of reads that come early and of nodes that never run depends on the links above a node. So
nothing is said of nodes in doubt, nor of those below them; everything else is judged as usual.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.definition.recovery import ANY, WITHOUT_EDGES

UNREAD = (rules.UNKNOWN_NODE, rules.SYNTAX, rules.UNDECLARED, rules.UNKNOWN_NODE_READ, rules.DYNAMIC_NODES)
"""Findings after which a node may lack a link."""

INTO_OTHERS = frozenset(
    {ANY, "id", "branches", "then", "otherwise", "on_timeout", "on_reject", "on_error", "fallback", "compensate"}
)
"""Fields of nodes that make links into others."""


class Doubts(msgspec.Struct, frozen=True):
    """What may be wrong with a graph's links because something could not be read.

    - ``nodes``: those that may lack links into them
    - ``everything``: any node may
    """

    nodes: frozenset[int] = frozenset()
    everything: bool = False

    def spread(self, graph: Graph) -> frozenset[int]:
        """The nodes in doubt, and all below them."""
        found = set(self.nodes)
        for node in graph.order if found else ():
            if any(link.source in found for link in graph.incoming[node]):
                found.add(node)
        return frozenset(found)


def doubts_of(graph: GraphSource, report: Report) -> Doubts:
    """What is in doubt in a graph, by its gaps and by what has been reported so far."""
    gaps = graph.gaps
    if (
        graph.shares_ids
        or gaps.unnamed
        or gaps.hide_ids
        or gaps.untyped
        or not gaps.fields.isdisjoint({"edges", "type", ANY})
    ):
        return Doubts(everything=True)
    if any(fields - WITHOUT_EDGES - {"condition"} for fields in gaps.edges.values()):
        return Doubts(everything=True)
    unread = ((node, field) for node, fields in gaps.nodes.items() for field in fields - WITHOUT_EDGES)
    return _doubts((*unread, *_reported(graph, report)))


def _reported(graph: GraphSource, report: Report) -> Iterable[tuple[int, str]]:
    """The node and its field of every finding that leaves links open."""
    for path in report.places(*UNREAD):
        inner = _below(graph, path)
        if inner is not None:
            yield inner
        elif path[:1] == ("edges",):
            edge = dict(graph.numbered_edges).get(int(path[1]))
            if edge is not None:
                yield (graph.index[edge.target], "") if edge.target in graph.index else (0, ANY)


def _below(graph: GraphSource, path: DocumentPath) -> tuple[int, str] | None:
    if path[: len(graph.place)] != graph.place or len(path) <= len(graph.place):
        return None
    rest = path[len(graph.place) :]
    if graph.is_lone:
        return 0, ""
    node = graph.local(int(rest[0])) if len(rest) > 1 else None
    return (node, str(rest[1])) if node is not None else None


def _doubts(fields: Iterable[tuple[int, str]]) -> Doubts:
    nodes = set()
    for node, field in fields:
        if field in INTO_OTHERS:
            return Doubts(everything=True)
        nodes.add(node)
    return Doubts(frozenset(nodes))
