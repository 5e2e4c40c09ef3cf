"""What the compiler's hidden nodes stand for in a drawing: arrows from the branches' ends.

Of many ends and many nodes that wait for the first of them, an arrow per pair would be a product; a dot where the
arrows come together makes it a sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from workflow_runtime.drawing.model import GATHERED, Item
from workflow_runtime.plan.graph import GraphBlock

PAIRS_MAX = 50


class Gathering:
    """The visible sources of the hidden nodes of one block. ``places``: of its visible nodes among the items."""

    def __init__(self, block: GraphBlock, places: Mapping[int, int]) -> None:
        self._block = block
        self._places = places
        self._waiting = Counter(edge.source for edge in block.edges)
        self._found: dict[int, tuple[int, ...]] = {}
        self._dots: dict[int, tuple[int, ...]] = {}

    def is_dot(self, item: int) -> bool:
        return item in self._dots

    def into_dots(self) -> Iterator[tuple[int, int]]:
        """Each dot with what leads to it."""
        for dot, sources in self._dots.items():
            yield from ((dot, source) for source in sources)

    def sources(self, node: int, add: Callable[[Item], int], parent: int) -> tuple[int, ...]:
        """The items from which arrows of a node's outgoing edges start: itself, or what a hidden one stands for.

        ``add`` takes a dot that is needed for it, ``parent`` is what the dot is inside of.
        """
        pending = [] if node in self._found else [node]
        while pending:
            number = pending[-1]
            above = self._above(number)
            missing = [source for source in above if source not in self._found]
            pending += missing
            if not missing:
                pending.pop()
                found = tuple(dict.fromkeys(item for source in above for item in self._found[source]))
                self._found[number] = self._gathered(number, found, add, parent)
        return self._found[node]

    def _above(self, node: int) -> list[int]:
        if not self._block.nodes[node].hidden:
            return []
        return [self._block.edges[index].source for index in self._block.nodes[node].incoming]

    def _gathered(self, node: int, found: tuple[int, ...], add: Callable[[Item], int], parent: int) -> tuple[int, ...]:
        if not self._block.nodes[node].hidden:
            return (self._places[node],)
        if len(found) * max(self._waiting[node], 1) <= PAIRS_MAX:
            return found
        dot = add(Item(self._block.prefix + self._block.nodes[node].id, "", GATHERED, parent=parent))
        self._dots[dot] = found
        return (dot,)
