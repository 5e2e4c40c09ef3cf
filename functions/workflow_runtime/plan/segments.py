"""Segments: chains of nodes that a worker may run one after the other, without going back to the dispatcher in between.

That is so where nothing else has a say: each is run by the same pool, due as soon as the one before has succeeded, and
what it may read, its `when` included, is known when the first one is ordered, but for what the chain itself yields.
Nobody outside would have to wait for longer than without it. What takes of limiters can only be the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Set
from functools import cached_property
from typing import TYPE_CHECKING

from workflow_runtime.plan.edges import EdgeKind, JoinKind
from workflow_runtime.plan.formulas import PREVIOUS, BindingKind, Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.specs import AgentSpec, ToolSpec

if TYPE_CHECKING:
    from workflow_runtime.plan.plan import Plan

SEGMENT_NODES_MAX = 10  # what one message reports, and one turn of a mailbox takes
EDGES_MAX = 20  # of a node in a segment, each way: what has more is hardly in a chain, and looking costs time
LOOKED_AT_MAX = 200  # nodes on either side of a segment, to find out who comes before it or after it anyway

_JOINS = frozenset({JoinKind.ALL, JoinKind.ALL_SUCCESS})
_CHANGING = frozenset({BindingKind.SCOPED, BindingKind.VARIABLES, BindingKind.EVENT})
"""What may be another value by the time at which the node would have been ordered on its own."""


def after(block: GraphBlock, node: int) -> tuple[int, ...]:
    """The nodes that a worker may run in place after this one, in order, if all that lead to them from outside have
    succeeded; local indices, like ``node``."""
    found = block.segments.get(node)
    if found is None:
        found = block.segments[node] = _Chain(block, node).closed[1:]
    return found


def paths_after(plan: Plan, path: str) -> list[str]:
    """The same of the node of this path of an execution: paths, in order. None for a path that the plan does not
    have."""
    place = plan.locate(path)
    if place is None:
        return []
    nodes = plan.blocks[place.block].nodes
    prefix = path.removesuffix(nodes[place.node].id)
    return [prefix + nodes[each].id for each in after(plan.blocks[place.block], place.node)]


def may_follow(block: GraphBlock, node: int) -> bool:
    """Whether a worker may run this node in place after another one."""
    pending, seen = [node], {node}
    while pending and len(seen) <= LOOKED_AT_MAX:
        for source in _sources(block, pending.pop()):
            if source not in seen:
                if node in after(block, source):
                    return True
                seen.add(source)
                pending.append(source)
    return False


def formulas_of(node: NodePlan) -> tuple[Formula, ...]:
    """What is evaluated by a worker that runs the node in place, whether it is to run at all included."""
    return node.worker_formulas if node.when is None else (node.when, *node.worker_formulas)


def outside(block: GraphBlock, node: int, chain: Iterable[int]) -> list[int]:
    """What leads to a node from outside of a segment."""
    return [source for source in _sources(block, node) if source not in chain]


def previous(block: GraphBlock, node: int) -> int:
    """The number of what ``${previous}`` means at a node that follows others in a segment."""
    return block.first + block.edges[block.nodes[node].incoming[-1]].source


class _Chain:
    """From ``head`` on, as long as exactly one node can be next."""

    def __init__(self, block: GraphBlock, head: int) -> None:
        self._block = block
        self.nodes = [head]
        targets: set[int] = set()
        while _may_go_on(block.nodes[self.nodes[-1]]) and len(self.nodes) < SEGMENT_NODES_MAX:
            targets.update(_targets(block, self.nodes[-1]))
            ready = [target for target in targets - {*self.nodes} if self._follows(target)]
            if len(ready) != 1:
                break
            self.nodes += ready

    @cached_property
    def _before(self) -> Set[int]:
        """What comes before it."""
        return _around(self.nodes[0], lambda node: _sources(self._block, node), frozenset())

    @property
    def closed(self) -> tuple[int, ...]:
        """As much of it as nobody outside would wait for longer than without it."""
        for size in range(len(self.nodes), 1, -1):
            kept = self.nodes[:size]
            others = {target for node in kept[:-1] for target in _targets(self._block, node)} - {*kept}
            if not others or self._come_after(kept[-1], others):
                return tuple(kept)
        return (self.nodes[0],)

    def _come_after(self, node: int, others: Set[int]) -> bool:
        needs_all = all(self._block.nodes[other].join.kind in _JOINS for other in others)
        return needs_all and others <= _around(node, lambda each: _targets(self._block, each), others)

    def _follows(self, node: int) -> bool:
        """Whether a node is due as soon as these have succeeded, and can be run by whoever ran them."""
        block, plan = self._block, self._block.nodes[node]
        if plan.pool != block.nodes[self.nodes[0]].pool or plan.join.kind not in _JOINS:
            return False
        if plan.called or plan.max_wait_seconds is not None or plan.limiters:
            return False
        if len(plan.incoming) > EDGES_MAX or not _may_go_on(plan) or not _is_decided_alike(plan.when):
            return False
        edges = [block.edges[index] for index in plan.incoming]
        if any(edge.kind is not EdgeKind.FLOW or edge.condition is not None for edge in edges):
            return False
        if not all(source in self._before for source in outside(block, node, self.nodes)):
            return False
        formulas = formulas_of(plan)
        if edges[-1].source not in self.nodes and any(PREVIOUS in formula.kinds for formula in formulas):
            return False
        return all(_CHANGING.isdisjoint(formula.kinds) and not formula.asks_states for formula in formulas)


def _may_go_on(node: NodePlan) -> bool:
    """Whether nothing but its success stands between a node and the next one."""
    is_run = isinstance(node.spec, (AgentSpec, ToolSpec)) and node.pool is not None
    return is_run and len(node.outgoing) <= EDGES_MAX and node.callback is None


def _is_decided_alike(when: Formula | None) -> bool:
    """Whether a worker comes to what the dispatcher would come to a moment later: the time, and what is made of it or
    of the place where it is evaluated, are others there."""
    return when is None or (BindingKind.TIME not in when.kinds and "uuid" not in str(when.source))


def _sources(block: GraphBlock, node: int) -> list[int]:
    return [block.edges[index].source for index in block.nodes[node].incoming]


def _targets(block: GraphBlock, node: int) -> list[int]:
    return [block.edges[index].target for index in block.nodes[node].outgoing]


def _around(node: int, neighbours: Callable[[int], list[int]], wanted: Set[int]) -> Set[int]:
    """The nearest nodes to one side of a node, as far as it takes to find those that are ``wanted``."""
    seen, pending = {node}, deque([node])
    while pending and len(seen) <= LOOKED_AT_MAX and not (wanted and wanted <= seen):
        new = [other for other in neighbours(pending.popleft()) if other not in seen]
        seen.update(new)
        pending += new
    return seen - {node}
