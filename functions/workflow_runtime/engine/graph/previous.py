"""What ``${previous}`` means at a node of a graph at work."""

from __future__ import annotations

from workflow_runtime.engine.lifecycle import ALIVE_MARKS
from workflow_runtime.engine.state import GraphState
from workflow_runtime.plan.graph import EdgeKind, GraphBlock, looks_through


def previous(block: GraphBlock, graph: GraphState, node: int, *, behind: bool) -> int:
    """The number of the last alive predecessor in dependency order, looking through control nodes; -1: none.

    ``behind``: as a successor of ``node`` sees it, so that it may be the node itself.
    """
    pending = [node] if behind else _alive_sources(block, graph, node)
    seen: set[int] = set()
    while pending:
        source = pending.pop()
        if not looks_through(block.nodes[source]):
            return block.first + source
        if source not in seen:
            seen.add(source)
            pending += _alive_sources(block, graph, source)
    return -1


def _alive_sources(block: GraphBlock, graph: GraphState, node: int) -> list[int]:
    """Predecessors over alive edges, in dependency order."""
    found: list[int] = []
    for index in block.nodes[node].incoming:
        edge = block.edges[index]
        alive = graph.marks[edge.source] in ALIVE_MARKS and index not in graph.untaken
        if alive and edge.kind is not EdgeKind.ORDER:
            found.append(edge.source)
    return found
