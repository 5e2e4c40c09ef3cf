"""Readiness: resolving edges, judging joins, skipping, and handing nodes to what runs them.

Work lists instead of recursion: a chain of ten thousand skipped nodes is an ordinary graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set

from workflow_runtime.engine.graph import KINDS, concurrency, failure, outcome
from workflow_runtime.engine.graph.joins import RUN, SKIP, judge
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ALIVE_MARKS, ENQUEUE, SUSPENDED, WAITING, Change, Mark
from workflow_runtime.engine.scope_states import Progress
from workflow_runtime.engine.tables import entered
from workflow_runtime.engine.turn import COMMANDS_MAX, ValuesMissing
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan import segments
from workflow_runtime.plan.edges import GATE, ORDER, Edge, Way

_START: Progress = (0, 0, 0)
NO_EDGES: frozenset[int] = frozenset()


def settle(scope: GraphScope) -> None:
    """Go on until nothing more follows from what is known.

    What is decided here takes no time, so it is decided before others begin, which may read it.

    It ends: each step takes a node off one of three lists, a node enters ``due`` at most once per incoming edge and the
    queue at most once, as only a waiting one does and it stops waiting then, and ``ended`` once, when it ends. And it
    misses nothing: a join's progress changes only when a source ends, which puts that source in ``ended``.
    """
    turn, graph = scope.turn, scope.graph
    state, ended, due, queue, nodes = turn.state, scope.ended, scope.due, graph.queue, scope.block.nodes
    commands, most = turn.commands, COMMANDS_MAX - len(state.backlog)  # `Turn.has_room`, asked at each step
    while True:
        if ended:
            _resolve(scope, ended.popleft())
        elif state.status is SUSPENDED:  # by what has just ended
            break
        elif due and not (queue and nodes[queue[0]].pool is None and len(commands) < most):
            _begin(scope, due.popleft())
        elif not (queue and len(commands) < most and _begin_queued(scope)):
            break
    if scope.scopes.marked:  # whatever marked it meanwhile was done above
        scope.scopes.unmark(scope)
    if queue:
        state.queued = entered(state.queued, scope.id, True)
    elif state.queued:
        state.queued.pop(scope.id, None)


def _resolve(scope: GraphScope, node: int) -> None:
    """Tell the successors that ``node`` ended."""
    block, graph = scope.block, scope.graph
    if block.limited_members:
        concurrency.branch_node_ended(scope, node)
    if graph.succeeded_by >= 0 and not graph.open_count:
        return  # nothing is left to tell, and no edge condition can fail what has succeeded
    ways = block.ways[node]
    if graph.failure is not None:
        ways = tuple(way for way in ways if way.others or graph.marks[way.target] == WAITING)
    if not ways:
        return
    dead: Set[int] = NO_EDGES
    if graph.marks[node] not in ALIVE_MARKS:
        dead = {way.edge for way in ways}
    elif block.choices[node]:
        try:
            dead = {way.edge for way in ways if not _is_taken(scope, block.edges[way.edge])}
        except ValuesMissing:
            return  # the turn will be taken again
        except EvaluationError as error:
            failure.fail_scope(scope, outcome.document(scope, node, error, "edge condition: "))
            dead = {way.edge for way in ways}
    arrive(scope, ways, dead)


def _is_taken(scope: GraphScope, edge: Edge) -> bool:
    """Whether an edge is alive whose source is."""
    kind = edge.kind
    if kind is ORDER or (kind is GATE and edge.target not in scope.selections.get(edge.source, ())):
        return False
    return edge.condition is None or scope.holds(edge)


def arrive(scope: GraphScope, ways: Iterable[Way], dead: Set[int]) -> None:
    """Edges are resolved, all alive but those that are ``dead``: the joins of their targets come a step further."""
    graph, block = scope.graph, scope.block
    marks, joins = graph.marks, graph.joins
    for index, target, orders, quorum, suffices, others in ways:
        if others:
            _arrive_at_layer(scope, target, others, quorum, is_alive=index not in dead)
            continue
        if marks[target] != WAITING:
            continue
        if suffices and index not in dead:
            scope.due.append(target)
            continue
        decided, alive, ordered = joins.get(target, _START)
        if orders:
            ordered += 1
        else:
            decided += 1
            if index not in dead:
                alive += 1
            elif marks[block.edges[index].source] in ALIVE_MARKS:
                graph.untaken[index] = True
        joins[target] = progress = (decided, alive, ordered)
        if decided < quorum:
            continue
        deciding, ordering = block.incoming_counts[target]
        verdict = judge(block.nodes[target].join, deciding, ordering, progress)
        if verdict is RUN:
            scope.due.append(target)  # perhaps twice; the second time it no longer waits
        elif verdict is SKIP:
            failure.join_lost(scope, target)


def _arrive_at_layer(scope: GraphScope, first: int, others: tuple[int, ...], quorum: int, *, is_alive: bool) -> None:
    """The same for a layer, all of whose nodes come a step further at once."""
    graph = scope.graph
    count = graph.layers.get(first, 0)
    is_alive = is_alive or count > 0
    count = abs(count) + 1
    if count < quorum:
        graph.layers[first] = count if is_alive else -count
        return
    graph.layers.pop(first, None)
    for target in (first, *others):
        if graph.marks[target] != WAITING:
            continue
        if is_alive:
            scope.due.append(target)
        else:
            failure.join_lost(scope, target)


def _begin(scope: GraphScope, node: int) -> None:
    """A node's join is satisfied: evaluate its ``when``, then start it or let it wait for a free place."""
    turn, graph, block = scope.turn, scope.graph, scope.block
    if graph.marks[node] != WAITING:
        return
    plan = block.nodes[node]
    try:
        if plan.when is not None and not scope.evaluate(plan.when, node):
            scope.end(node, Change.PASS_OVER if plan.continue_on_skip else Change.SKIP)
            return
    except ValuesMissing:
        return
    except EvaluationError as error:
        outcome.failed(scope, node, error, "when: ")
        return
    if graph.joins:
        graph.joins.pop(node, None)
    scope.change(node, ENQUEUE)
    if turn.going_on and concurrency.is_under_way(scope, node):
        _start(scope, node)
        return
    heads = block.limited_heads
    if not heads or node not in heads or concurrency.may_begin_branch(scope, node):
        concurrency.enqueue(scope, node)


def _begin_queued(scope: GraphScope) -> bool:
    """Start the first of the ready nodes, if it may start now. False if not."""
    limit = scope.plan.max_concurrency
    if limit and not concurrency.may_begin_next(scope, limit):
        return False
    _start(scope, scope.graph.queue.pop(0))
    return True


def _start(scope: GraphScope, node: int) -> None:
    try:
        KINDS[type(scope.block.nodes[node].spec)].start(scope, node)
    except ValuesMissing:
        pass
    except (EvaluationError, NodeError) as error:
        outcome.failed(scope, node, error)


def begin_in_place(scope: GraphScope, node: int) -> bool:
    """Have a node count as ordered that a worker has begun in place (`plan.segments`), though it still waits for its
    place, or for the execution to be resumed. False if it cannot: whoever is to run it finds what it came to."""
    graph = scope.graph
    if node in graph.serials:
        return False
    if graph.marks[node] == WAITING and scope.turn.is_suspended:
        _resolve_before(scope, node)
    if graph.marks[node] == Mark.QUEUED and node in graph.queue:
        graph.queue.remove(node)
        _start(scope, node)
    return graph.marks[node] == Mark.READY


def begin_next_in_place(scope: GraphScope, node: int) -> None:
    """The same for the one with which the worker of a node has gone on in place."""
    for following in segments.after(scope.block, node)[:1]:
        begin_in_place(scope, following)


def _resolve_before(scope: GraphScope, node: int) -> None:
    """Let a node be due, if all that it waits for is that what has ended before it is looked at. What takes decisions
    is left until the execution is resumed."""
    graph, block = scope.graph, scope.block
    for source in dict.fromkeys(block.edges[index].source for index in block.nodes[node].incoming):
        if block.choices[source] or source not in (*scope.ended, *graph.unresolved):
            continue
        if source in scope.ended:
            scope.ended.remove(source)
        else:
            graph.unresolved = tuple(each for each in graph.unresolved if each != source)
        _resolve(scope, source)
    if node in scope.due or node in graph.due:
        scope.due = deque(each for each in scope.due if each != node)
        graph.due = tuple(each for each in graph.due if each != node)
        _begin(scope, node)
