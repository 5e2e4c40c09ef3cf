"""What ran before a node, nodes that only choose or start others looked through, upward."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.shape.ordering import Graph


class Before:
    """The finished graph, looked at upward. Every node is looked at once: what is above one is remembered. A node's own
    fallback has the node's place."""

    def __init__(self, graph: Graph, source: GraphSource) -> None:
        self._graph = graph
        self._fallbacks = source.fallbacks
        self._transparent = [kind_of_node(node).is_looked_through for node in source.nodes]
        self._above: dict[int, tuple[int, ...]] = {}

    def at(self, node: int) -> tuple[int, ...]:
        """The node itself, or what ran before it if it is one to look through."""
        return self.above(node) if self._is_transparent(node) else (node,)

    def above(self, node: int) -> tuple[int, ...]:
        """The predecessors whose success can make the node run, in dependency order, each once."""
        node = self._fallbacks.get(node, node)
        pending = [node]
        while pending:
            here = pending[-1]
            sources = self._graph.alive_sources(here) if here not in self._above else []
            unknown = [source for source in sources if self._is_transparent(source) and source not in self._above]
            if unknown:
                pending += unknown  # a graph has no cycles, so this ends
                continue
            pending.pop()
            if here not in self._above:
                found = (self._above[source] if self._is_transparent(source) else (source,) for source in sources)
                self._above[here] = tuple(dict.fromkeys(item for group in found for item in group))
        return self._above[node]

    def starts(self, node: int) -> bool:
        """Whether the node may be the first to run, nodes that are looked through apart."""
        pending, seen = [self._fallbacks.get(node, node)], set[int]()
        while pending:
            here = pending.pop()
            sources = self._graph.alive_sources(here)
            if not sources:
                return True
            seen.add(here)
            pending += [source for source in sources if self._is_transparent(source) and source not in seen]
        return False

    def _is_transparent(self, node: int) -> bool:
        return node >= self._graph.count or self._transparent[node]


def numbers_before(
    sources: Sources, befores: Sequence[Before | None], firsts: Sequence[int], graph: GraphSource, node: int
) -> tuple[int, ...]:
    """Plan-wide numbers of what ``previous`` may mean at a node. At the start of a loop's body it is what that means at
    the loop."""
    before = befores[graph.number]
    if before is None:
        return ()
    found = tuple(firsts[graph.number] + source for source in before.above(node))
    if graph.loop is None or not before.starts(node):
        return found
    return (*found, *numbers_before(sources, befores, firsts, sources.graphs[graph.loop.graph], graph.loop.node))
