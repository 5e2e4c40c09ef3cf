"""Failure of a node and of its scope: what is only a dead edge, what fails the scope, and who still runs (language
§2.1).
"""

from __future__ import annotations

from workflow_runtime.engine.commands import RecordNode
from workflow_runtime.engine.joins import tolerates_failure
from workflow_runtime.engine.state import ALIVE_MARKS, Mark, ToleratedError
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import EdgeKind, FailSpec, GatherSpec, JoinKind


def node_failed(turn: Turn, node: int, error: ErrorDocument) -> None:
    """A node failed for good: a dead edge if every successor can do without it, else the end of its scope."""
    turn.end(node, Mark.FAILED)
    turn.errors[node] = error
    if turn.graph.failure is not None:
        return
    targets = _joins_behind(turn, node)
    if (
        isinstance(turn.block.nodes[node].spec, FailSpec)
        or not targets
        or not all(tolerates_failure(turn.block.nodes[target].join) for target in targets)
    ):
        fail_scope(turn, error)
        return
    turn.graph.tolerated.append(ToleratedError(node, error))
    lost = [target for target in targets if not _can_be_met(turn, target)]
    if lost:
        fail_scope(turn, _earliest_error(turn, lost) or error)


def decided_node_failed(turn: Turn, node: int, error: ErrorDocument) -> None:
    """The same for a node that no worker ran; its run is recorded with the error."""
    turn.commands.append(RecordNode(turn.block.nodes[node].id, turn.graph.serial(node), turn.now, error=error))
    node_failed(turn, node, error)


def fail_scope(turn: Turn, error: ErrorDocument) -> None:
    """From now on the scope fails with the first ``error``: running nodes are cancelled, waiting ones skipped.

    ``all_done`` nodes are left to run; the edges of all others, dead now, still tell them when their time has come.
    """
    if turn.graph.failure is not None:
        return
    turn.graph.failure = error
    for node in range(len(turn.block.nodes)):
        if turn.is_open(node) and turn.block.nodes[node].join.kind is not JoinKind.ALL_DONE:
            withdraw(turn, node)


def withdraw(turn: Turn, node: int) -> None:
    """End an open node from outside: a waiting one is skipped, a ready or running one cancelled."""
    graph = turn.graph
    mark = graph.marks[node]
    if mark == Mark.WAITING:
        turn.end(node, Mark.SKIPPED)
        return
    if mark == Mark.READY:
        graph.in_flight -= 1
        turn.cancel(node)
    else:
        for waiting in (graph.held, graph.queue):
            if node in waiting:  # in neither, if its decision lacks values: the turn will be taken again
                waiting.remove(node)
    turn.end(node, Mark.CANCELLED)


def join_lost(turn: Turn, node: int) -> None:
    """A join that can no longer be met: its node is skipped, unless a failure is among what it waited for in vain.

    Then the scope fails with the earliest of those errors. A branch of a parallel is only lost; the gather behind it
    decides.
    """
    spec = turn.block.nodes[node].spec
    is_branch = isinstance(spec, GatherSpec) and spec.branch
    error = None if is_branch or not turn.graph.tolerated else _earliest_error(turn, [node])
    if error is not None:
        fail_scope(turn, error)
    else:
        turn.end(node, Mark.SKIPPED)


def _joins_behind(turn: Turn, node: int) -> list[int]:
    """The nodes that need ``node`` to succeed, in file order; the end of a parallel's branch stands for the gather
    behind.
    """
    found: list[int] = []
    for index in turn.block.nodes[node].outgoing:
        edge = turn.block.edges[index]
        if edge.kind is EdgeKind.ORDER:
            continue
        spec = turn.block.nodes[edge.target].spec
        is_branch = isinstance(spec, GatherSpec) and spec.branch
        found += _joins_behind(turn, edge.target) if is_branch else [edge.target]
    return found


def _can_be_met(turn: Turn, target: int) -> bool:
    """Whether the join of ``target``, ``any`` or ``at_least``, is met, or can still be met by what has not ended."""
    join = turn.block.nodes[target].join
    alive = possible = 0
    for index in turn.block.nodes[target].incoming:
        edge = turn.block.edges[index]
        if edge.kind is not EdgeKind.ORDER:
            alive += turn.graph.marks[edge.source] in ALIVE_MARKS and index not in turn.graph.untaken
            possible += turn.is_open(edge.source)
    needed = join.count if join.kind is JoinKind.AT_LEAST else 1
    return alive >= needed or (turn.graph.marks[target] == Mark.WAITING and alive + possible >= needed)


def _earliest_error(turn: Turn, targets: list[int]) -> ErrorDocument | None:
    """The first tolerated failure among the predecessors of ``targets``."""
    sources = {source for target in targets for source in _sources(turn, target)}
    return next((entry.error for entry in turn.graph.tolerated if entry.node in sources), None)


def _sources(turn: Turn, node: int) -> list[int]:
    """Authored predecessors that could have made the node run, hidden ones looked through."""
    found: list[int] = []
    for index in turn.block.nodes[node].incoming:
        edge = turn.block.edges[index]
        if edge.kind is not EdgeKind.ORDER:
            found += _sources(turn, edge.source) if turn.block.nodes[edge.source].hidden else [edge.source]
    return found
