"""Nodes that are declared beside a loop and belong to its body, because it names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import EdgeDefinition


class Listing(msgspec.Struct, frozen=True):
    """A list of nodes as it is written at ``place``, with the edges declared for it.

    ``owners``: of the nodes that belong to a loop of the same list, its position, by theirs.
    """

    nodes: tuple[NodeDefinition, ...]
    place: DocumentPath
    edges: tuple[EdgeDefinition, ...]
    gaps: Gaps
    owners: Mapping[int, int]

    def members(self, loop: int | None) -> tuple[int, ...]:
        """Positions of the nodes that belong to this loop; None: to no loop."""
        return tuple(position for position in range(len(self.nodes)) if self.owners.get(position) == loop)

    def edges_among(self, members: Sequence[int], *, and_others: bool) -> dict[int, EdgeDefinition]:
        """The edges between these nodes, by number. ``and_others``: also those that no graph has whole."""
        owner_of = {self.nodes[position].id: self.owners.get(position) for position in range(len(self.nodes))}
        own = {self.nodes[position].id for position in members}
        found = {}
        for number, edge in enumerate(self.edges):
            is_whole = edge.source in owner_of and owner_of[edge.source] == owner_of.get(edge.target, -1)
            if (is_whole and edge.source in own) or (and_others and not is_whole):
                found[number] = edge
        return found


def listing(
    nodes: tuple[NodeDefinition, ...], place: DocumentPath, edges: tuple[EdgeDefinition, ...], gaps: Gaps
) -> Listing:
    return Listing(nodes, place, edges, gaps, _owners(nodes))


def _owners(nodes: Sequence[NodeDefinition]) -> dict[int, int]:
    """The first loop that names a node has it, unless it is inside of that node itself."""
    index: dict[str, int] = {}
    for position, node in enumerate(nodes):
        index.setdefault(node.id, position)
    owners: dict[int, int] = {}
    for position, node in enumerate(nodes):
        for entry in node.body if isinstance(node, LoopNode) else ():
            target = index.get(entry) if isinstance(entry, str) else None
            if target is not None and target not in owners and not _is_inside(owners, position, target):
                owners[target] = position
    return owners


def _is_inside(owners: Mapping[int, int], position: int, target: int) -> bool:
    """Whether a node is another one, or in its body, or in that of a loop there."""
    here: int | None = position
    while here is not None:
        if here == target:
            return True
        here = owners.get(here)
    return False


def ids_in(loop: LoopNode) -> Iterator[str]:
    """The ids of all nodes in the body of a loop, and in those of loops there."""
    for entry in loop.body:
        yield entry if isinstance(entry, str) else entry.id
        if isinstance(entry, LoopNode):
            yield from ids_in(entry)
