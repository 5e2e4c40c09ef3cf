"""Nodes that are declared beside a loop and belong to its body, because it names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import msgspec

from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import EdgeDefinition

NO_LOOP = -1


class Listing(msgspec.Struct, frozen=True, dict=True):
    """A list of nodes as it is written at ``place``, with the edges declared for it.

    ``owners``: of the nodes that belong to a loop of the same list, its position, by theirs.
    """

    nodes: tuple[NodeDefinition, ...]
    place: DocumentPath
    edges: tuple[EdgeDefinition, ...]
    gaps: Gaps
    owners: Mapping[int, int]

    @cached_property
    def members(self) -> dict[int, tuple[int, ...]]:
        """Positions of the nodes that belong to a loop, by its position; by `NO_LOOP` those that belong to none."""
        found: dict[int, list[int]] = {}
        for position in range(len(self.nodes)):
            found.setdefault(self.owners.get(position, NO_LOOP), []).append(position)
        return {loop: tuple(positions) for loop, positions in found.items()}

    @cached_property
    def edges_inside(self) -> dict[int, dict[int, EdgeDefinition]]:
        """The edges between nodes of one loop, by number, by its position; by `NO_LOOP` all others."""
        owners = {node.id: self.owners.get(position, NO_LOOP) for position, node in enumerate(self.nodes)}
        found: dict[int, dict[int, EdgeDefinition]] = {}
        for number, edge in enumerate(self.edges):
            source, target = owners.get(edge.source, NO_LOOP), owners.get(edge.target, NO_LOOP)
            found.setdefault(source if source == target else NO_LOOP, {})[number] = edge
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
