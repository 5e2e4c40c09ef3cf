"""Readiness: resolving edges, judging joins, skipping, and handing nodes to what runs them.

Work lists instead of recursion: a chain of ten thousand skipped nodes is an ordinary graph.
"""

from __future__ import annotations

from workflow_runtime.engine.graph import KINDS, concurrency, failure, outcome
from workflow_runtime.engine.graph.joins import Verdict, judge
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ALIVE_MARKS, SUSPENDED, WAITING, Change
from workflow_runtime.engine.state import Progress
from workflow_runtime.engine.turn import ValuesMissing
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan.graph import GATE, ORDER, Edge

_START = Progress()


def settle(scope: GraphScope) -> None:
    """Go on until nothing more follows from what is known.

    What is decided here takes no time, so it is decided before others begin, which may read it.

    It ends: each step takes a node off one of three lists, a node enters ``due`` at most once per incoming edge and the
    queue at most once, as only a waiting one does and it stops waiting then, and ``ended`` once, when it ends. And it
    misses nothing: a join's progress changes only when a source ends, which puts that source in ``ended``.
    """
    turn, state, graph = scope.turn, scope.turn.state, scope.graph
    while True:
        if scope.ended:
            _resolve(scope, scope.ended.popleft())
        elif state.status is SUSPENDED:  # by what has just ended
            break
        elif scope.due and not (graph.queue and turn.has_room and concurrency.decides_next(scope)):
            _begin(scope, scope.due.popleft())
        elif not (graph.queue and turn.has_room and _begin_queued(scope)):
            break
    scope.scopes.unmark(scope)  # whatever marked it meanwhile was done above
    if graph.queue:
        turn.state.queued[scope.id] = True
    elif scope.id in turn.state.queued:
        del turn.state.queued[scope.id]


def _resolve(scope: GraphScope, node: int) -> None:
    """Tell the successors that ``node`` ended."""
    if scope.block.limited_members:
        concurrency.branch_node_ended(scope, node)
    if scope.graph.succeeded_by >= 0 and not scope.graph.open_count:
        return  # nothing is left to tell, and no edge condition can fail what has succeeded
    outgoing = scope.block.nodes[node].outgoing
    if not outgoing:
        return
    if scope.graph.failure is not None:
        outgoing = tuple(index for index in outgoing if scope.graph.marks[scope.block.edges[index].target] == WAITING)
    try:
        outcomes = [(index, _is_alive(scope, index)) for index in outgoing]
    except ValuesMissing:
        return  # the turn will be taken again
    except EvaluationError as error:
        failure.fail_scope(scope, outcome.document(scope, node, error, "edge condition: "))
        outcomes = [(index, False) for index in outgoing]
    for index, alive in outcomes:
        arrive(scope, scope.block.edges[index], index, alive)


def _is_alive(scope: GraphScope, index: int) -> bool:
    edge = scope.block.edges[index]
    kind = edge.kind
    if kind is ORDER or scope.graph.marks[edge.source] not in ALIVE_MARKS:
        return False
    if kind is GATE and edge.target not in scope.selections.get(edge.source, ()):
        return False
    return edge.condition is None or scope.holds(edge)


def arrive(scope: GraphScope, edge: Edge, index: int, alive: bool) -> None:
    """An edge is resolved: its target's join comes a step further."""
    graph, target = scope.graph, edge.target
    if graph.marks[target] != WAITING:
        return
    before = graph.joins.get(target, _START)
    if edge.kind is ORDER:
        progress = Progress(before.resolved, before.alive, before.ordered + 1)
    else:
        progress = Progress(before.resolved + 1, before.alive + alive, before.ordered)
        if not alive and graph.marks[edge.source] in ALIVE_MARKS:
            graph.untaken[index] = True
    deciding, ordering = scope.block.incoming_counts[target]
    match judge(scope.block.nodes[target].join, deciding, ordering, progress):
        case Verdict.WAIT:
            graph.joins[target] = progress
        case Verdict.RUN:
            graph.joins[target] = progress
            scope.due.append(target)  # perhaps twice; the second time it no longer waits
        case Verdict.SKIP:
            failure.join_lost(scope, target)


def _begin(scope: GraphScope, node: int) -> None:
    """A node's join is satisfied: evaluate its ``when``, then start it or let it wait for a free place."""
    if scope.graph.marks[node] != WAITING:
        return
    plan = scope.block.nodes[node]
    try:
        if plan.when is not None and not scope.evaluate(plan.when, node):
            scope.end(node, Change.PASS_OVER if plan.continue_on_skip else Change.SKIP)
            return
    except ValuesMissing:
        return
    except EvaluationError as error:
        outcome.failed(scope, node, error, "when: ")
        return
    scope.graph.joins.pop(node, None)
    scope.change(node, Change.ENQUEUE)
    heads = scope.block.limited_heads
    if not heads or node not in heads or concurrency.may_begin_branch(scope, node):
        concurrency.enqueue(scope, node)


def _begin_queued(scope: GraphScope) -> bool:
    """Start the first of the ready nodes that may start now. False when none may."""
    node = concurrency.next_to_begin(scope)
    if node is None:
        return False
    try:
        KINDS[type(scope.block.nodes[node].spec)].start(scope, node)
    except ValuesMissing:
        pass
    except (EvaluationError, NodeError) as error:
        outcome.failed(scope, node, error)
    return True
