"""What ran before a node, switch, condition, parallel and hidden nodes looked through, upward (language §2.2, §3)."""

from __future__ import annotations

from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.definition.workflow import ConditionNode, NodeDefinition, ParallelNode, SwitchNode


class Before:
    """The finished graph, looked at upward."""

    def __init__(self, graph: Graph, nodes: tuple[NodeDefinition, ...]) -> None:
        self._graph = graph
        self._transparent = [isinstance(node, SwitchNode | ConditionNode | ParallelNode) for node in nodes]

    def at(self, node: int) -> tuple[int, ...]:
        """The node itself, or what ran before it if it is one to look through."""
        return self.above(node) if self._is_transparent(node) else (node,)

    def above(self, node: int) -> tuple[int, ...]:
        """The predecessors whose success can make the node run, in dependency order, each once."""
        found: dict[int, None] = {}
        seen = {node}
        pending = self._graph.alive_sources(node)[::-1]
        while pending:
            source = pending.pop()
            if not self._is_transparent(source):
                found[source] = None
            elif source not in seen:
                seen.add(source)
                pending += self._graph.alive_sources(source)[::-1]
        return tuple(found)

    def _is_transparent(self, node: int) -> bool:
        return node >= self._graph.count or self._transparent[node]
