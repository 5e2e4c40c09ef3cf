"""How many nodes of one execution run at once: the workflow's ``max_concurrency``, a parallel's, and priorities.

``GraphState.queue`` holds ready nodes that are not ordered yet: what the dispatcher decides itself first, since it
takes no time and no place, then best priority first, then first come first served.
"""

from __future__ import annotations

from bisect import insort

from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ENQUEUE
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.plan import segments
from workflow_runtime.plan.specs import ParallelSpec


def places_taken(state: ExecutionState) -> int:
    """How many nodes count: what was told to stop, because it was cancelled, has left its place."""
    return state.in_flight - len(state.stopping) if state.awaits_cancelled else state.in_flight


def enqueue(scope: GraphScope, node: int) -> None:
    """A ready node of a scope that is being settled joins the queue, behind those of the same priority."""
    queue, nodes = scope.graph.queue, scope.block.nodes
    plan = nodes[node]
    if not queue or (plan.pool is not None and plan.priority == nodes[queue[-1]].priority):  # as nearly always
        queue.append(node)
    else:
        insort(queue, node, key=lambda each: (nodes[each].pool is not None, -nodes[each].priority))


def is_under_way(scope: GraphScope, node: int) -> bool:
    """Whether a worker is known to run a node that is ready in place after another one (`plan.segments`): then it has
    its place."""
    turn, block = scope.turn, scope.block
    if not turn.state.takes_early or node in scope.graph.serials:
        return False
    sources = [block.edges[index].source for index in block.nodes[node].incoming]
    going_on = [each for each in sources if (scope.path(each), scope.graph.serial(each)) in turn.going_on]
    return any(node in segments.after(block, each)[:1] for each in going_on)


def make_ready(scope: GraphScope, node: int) -> None:
    """Something has happened by which a node is ready."""
    scope.change(node, ENQUEUE)
    enqueue(scope, node)
    scope.scopes.mark(scope)


def may_begin_next(scope: GraphScope, limit: int) -> bool:
    """Whether the first node of the queue may start now, of an execution in which ``limit`` may run at once. Nodes that
    the dispatcher runs itself always may."""
    return places_taken(scope.turn.state) < limit or scope.block.nodes[scope.graph.queue[0]].pool is None


def may_begin_branch(scope: GraphScope, node: int) -> bool:
    """Whether a ready node may join the queue. The head of a limited parallel's branch waits for a free place."""
    parallel = scope.block.limited_heads.get(node)
    if parallel is None:
        return True
    spec = scope.block.nodes[parallel].spec
    assert isinstance(spec, ParallelSpec)
    active = sum(scope.block.limited_heads[head] == parallel for head in scope.graph.branches)
    if active >= spec.max_concurrency:
        scope.graph.held.append(node)
        return False
    members = spec.members[spec.branches.index(node)]
    scope.graph.branches[node] = sum(scope.is_open(member) for member in members)
    return True


def branch_node_ended(scope: GraphScope, node: int) -> None:
    """Counts a limited parallel's branch down; its end lets the next one begin."""
    for head in scope.block.limited_members.get(node, ()):
        left = scope.graph.branches.get(head)
        if left is None:
            continue
        if left > 1:
            scope.graph.branches[head] = left - 1
            continue
        del scope.graph.branches[head]
        parallel = scope.block.limited_heads[head]
        waiting = next((held for held in scope.graph.held if scope.block.limited_heads[held] == parallel), None)
        if waiting is not None:
            scope.graph.held.remove(waiting)
            if may_begin_branch(scope, waiting):
                enqueue(scope, waiting)
