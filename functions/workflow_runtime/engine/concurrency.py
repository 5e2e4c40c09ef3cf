"""How many nodes of one execution run at once: the workflow's ``max_concurrency``, a parallel's, and priorities.

``GraphState.queue`` holds ready nodes that are not ordered yet: what the dispatcher decides itself first, since it
takes no time and no place, then best priority first, then first come first served.
"""

from __future__ import annotations

from bisect import insort
from functools import partial

from workflow_runtime.engine.turn import Turn
from workflow_runtime.plan import GraphBlock, ParallelSpec


def enqueue(turn: Turn, node: int) -> None:
    """A ready node joins the queue, behind those of the same priority."""
    insort(turn.graph.queue, node, key=partial(_rank, turn.block))


def decides_next(turn: Turn) -> bool:
    """Whether the first node of the queue is one that the dispatcher runs itself."""
    queue = turn.graph.queue
    return bool(queue) and turn.block.nodes[queue[0]].pool is None


def next_to_begin(turn: Turn) -> int | None:
    """Takes the first node off the queue if it may start now; nodes that the dispatcher runs itself always may."""
    queue = turn.graph.queue
    limit = turn.plan.max_concurrency
    if limit and turn.graph.in_flight >= limit and not decides_next(turn):
        return None
    return queue.pop(0)


def may_begin_branch(turn: Turn, node: int) -> bool:
    """Whether a ready node may join the queue. The head of a limited parallel's branch waits for a free place."""
    parallel = turn.block.limited_heads.get(node)
    if parallel is None:
        return True
    spec = turn.block.nodes[parallel].spec
    assert isinstance(spec, ParallelSpec)
    active = sum(turn.block.limited_heads[head] == parallel for head in turn.graph.branches)
    if active >= spec.max_concurrency:
        turn.graph.held.append(node)
        return False
    members = spec.members[spec.branches.index(node)]
    turn.graph.branches[node] = sum(turn.is_open(member) for member in members)
    return True


def branch_node_ended(turn: Turn, node: int) -> None:
    """Counts a limited parallel's branch down; its end lets the next one begin."""
    for head in turn.block.limited_members.get(node, ()):
        left = turn.graph.branches.get(head)
        if left is None:
            continue
        if left > 1:
            turn.graph.branches[head] = left - 1
            continue
        del turn.graph.branches[head]
        parallel = turn.block.limited_heads[head]
        waiting = next((held for held in turn.graph.held if turn.block.limited_heads[held] == parallel), None)
        if waiting is not None:
            turn.graph.held.remove(waiting)
            if may_begin_branch(turn, waiting):
                enqueue(turn, waiting)


def _rank(block: GraphBlock, node: int) -> tuple[bool, int]:
    plan = block.nodes[node]
    return plan.pool is not None, -plan.priority
