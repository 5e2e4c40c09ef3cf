"""A graph scope at work: resolving edges, judging joins, skipping, and handing due nodes to whoever runs them.

Work lists instead of recursion: a chain of ten thousand skipped nodes is an ordinary graph.
"""

from __future__ import annotations

from workflow_runtime.engine import concurrency, failure
from workflow_runtime.engine.control import decide
from workflow_runtime.engine.joins import Verdict, judge
from workflow_runtime.engine.orders import order
from workflow_runtime.engine.state import ALIVE_MARKS, Mark, Progress
from workflow_runtime.engine.turn import Turn, ValuesMissing
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.expressions import EvaluationError
from workflow_runtime.plan import Edge, EdgeKind

_START = Progress()


def start(turn: Turn) -> None:
    """Begin the scope: every node without edges is due."""
    for node, (deciding, ordering) in enumerate(turn.block.incoming_counts):
        if deciding == ordering == 0:
            turn.due.append(node)


def settle(turn: Turn) -> None:
    """Go on until nothing more follows from what is known.

    What is decided here takes no time, so it is decided before others begin, which may read it.
    """
    while True:
        if turn.ended:
            _resolve(turn, turn.ended.popleft())
        elif turn.due and not (turn.has_room and concurrency.decides_next(turn)):
            _begin(turn, turn.due.popleft())
        elif not _begin_queued(turn):
            return


def _resolve(turn: Turn, node: int) -> None:
    """Tell the successors that ``node`` ended."""
    concurrency.branch_node_ended(turn, node)
    if turn.graph.succeeded_by >= 0 and not turn.graph.open_count:
        return  # nothing is left to tell, and no edge condition can fail what has succeeded
    outgoing = turn.block.nodes[node].outgoing
    if turn.graph.failure is not None:
        outgoing = tuple(
            index for index in outgoing if turn.graph.marks[turn.block.edges[index].target] == Mark.WAITING
        )
    try:
        outcomes = [(index, _is_alive(turn, index)) for index in outgoing]
    except ValuesMissing:
        return  # the turn will be taken again
    except EvaluationError as error:
        failure.fail_scope(turn, _document(turn, node, error, "edge condition: "))
        outcomes = [(index, False) for index in outgoing]
    for index, alive in outcomes:
        _arrive(turn, turn.block.edges[index], index, alive)


def _is_alive(turn: Turn, index: int) -> bool:
    edge = turn.block.edges[index]
    if edge.kind is EdgeKind.ORDER or turn.graph.marks[edge.source] not in ALIVE_MARKS:
        return False
    if edge.kind is EdgeKind.GATE and edge.target not in turn.selections.get(edge.source, ()):
        return False
    return edge.condition is None or bool(turn.evaluate(edge.condition, edge.source, behind=True))


def _arrive(turn: Turn, edge: Edge, index: int, alive: bool) -> None:
    graph, target = turn.graph, edge.target
    if graph.marks[target] != Mark.WAITING:
        return
    before = graph.joins.get(target, _START)
    if edge.kind is EdgeKind.ORDER:
        progress = Progress(before.resolved, before.alive, before.ordered + 1)
    else:
        progress = Progress(before.resolved + 1, before.alive + alive, before.ordered)
        if not alive and graph.marks[edge.source] in ALIVE_MARKS:
            graph.untaken[index] = True
    deciding, ordering = turn.block.incoming_counts[target]
    match judge(turn.block.nodes[target].join, deciding, ordering, progress):
        case Verdict.WAIT:
            graph.joins[target] = progress
        case Verdict.RUN:
            graph.joins[target] = progress
            turn.due.append(target)  # perhaps twice; the second time it no longer waits
        case Verdict.SKIP:
            failure.join_lost(turn, target)


def _begin(turn: Turn, node: int) -> None:
    """A node's join is satisfied: evaluate its ``when``, then start it or let it wait for a free place."""
    if turn.graph.marks[node] != Mark.WAITING:
        return
    plan = turn.block.nodes[node]
    try:
        if plan.when is not None and not turn.evaluate(plan.when, node):
            turn.end(node, Mark.PASSED_OVER if plan.continue_on_skip else Mark.SKIPPED)
            return
    except ValuesMissing:
        return
    except EvaluationError as error:
        failure.decided_node_failed(turn, node, _document(turn, node, error, "when: "))
        return
    turn.graph.joins.pop(node, None)
    turn.graph.marks[node] = Mark.QUEUED
    if concurrency.may_begin_branch(turn, node):
        concurrency.enqueue(turn, node)


def _begin_queued(turn: Turn) -> bool:
    """Start the first ready node that may start now. False when none may."""
    if not turn.graph.queue or not turn.has_room:
        return False
    node = concurrency.next_to_begin(turn)
    if node is None:
        return False
    if turn.block.nodes[node].pool is not None:
        order(turn, node)
        return True
    try:
        decide(turn, node)
    except ValuesMissing:
        pass
    except (EvaluationError, NodeError) as error:
        failure.decided_node_failed(turn, node, _document(turn, node, error))
    return True


def _document(turn: Turn, node: int, error: EvaluationError | NodeError, prefix: str = "") -> ErrorDocument:
    """The error document of a decision at ``node`` that could not be taken."""
    path = turn.block.nodes[node].id
    if isinstance(error, NodeError):
        return ErrorDocument.of(error.type, prefix + error.message, path)
    return ErrorDocument.of("execution_error", f"{prefix}{error}", path)
