"""Failure of a node and of its scope: what is only a dead edge, what fails the scope, and who still runs (language §2.1)."""

from __future__ import annotations

from workflow_runtime.engine.commands import CancelRun, RecordNode
from workflow_runtime.engine.joins import tolerates_failure
from workflow_runtime.engine.state import Mark, ToleratedError
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import EdgeKind, FailSpec, GatherSpec, JoinKind

_ALIVE_MARKS = (Mark.SUCCESS, Mark.PASSED_OVER)


def node_failed(turn: Turn, node: int, error: ErrorDocument) -> None:
    """A node failed for good: a dead edge if every successor can do without it, else the end of its scope."""
    turn.end(node, Mark.FAILED)
    if turn.graph.failure is not None:
        return
    if not isinstance(turn.block.nodes[node].spec, FailSpec) and _is_tolerated(turn, node):
        turn.graph.tolerated.append(ToleratedError(node, error))
    else:
        fail_scope(turn, error)


def decided_node_failed(turn: Turn, node: int, error: ErrorDocument) -> None:
    """The same for a node that the dispatcher ran itself; its run is recorded with the error."""
    turn.commands.append(RecordNode(turn.block.nodes[node].id, turn.graph.serial(node), turn.now, error=error))
    node_failed(turn, node, error)


def fail_scope(turn: Turn, error: ErrorDocument) -> None:
    """From now on the scope fails with ``error``: running nodes are cancelled, waiting ones skipped, ``all_done`` nodes still run."""
    turn.graph.failure = error
    for node in range(len(turn.block.nodes)):
        if turn.is_open(node) and turn.block.nodes[node].join.kind is not JoinKind.ALL_DONE:
            withdraw(turn, node)
    call_finally_nodes(turn)


def withdraw(turn: Turn, node: int) -> None:
    """End an open node from outside: a waiting one is skipped, a ready or running one cancelled."""
    graph = turn.graph
    if graph.marks[node] == Mark.WAITING:
        turn.end(node, Mark.SKIPPED)
        return
    if node in graph.queue:
        graph.queue.remove(node)
    elif node in graph.held:
        graph.held.remove(node)
    else:
        graph.in_flight -= 1
        turn.commands.append(CancelRun(turn.block.nodes[node].id, graph.serial(node)))
    turn.end(node, Mark.CANCELLED)


def call_finally_nodes(turn: Turn) -> None:
    """While the scope fails: every ``all_done`` node whose predecessors have all ended is due."""
    for node, plan in enumerate(turn.block.nodes):
        if (
            plan.join.kind is JoinKind.ALL_DONE
            and turn.graph.marks[node] == Mark.WAITING
            and not any(turn.is_open(turn.block.edges[index].source) for index in plan.incoming)
        ):
            turn.due.append(node)


def join_lost(turn: Turn, node: int) -> None:
    """A join that failures have made unsatisfiable: the scope fails with the earliest of them."""
    spec = turn.block.nodes[node].spec
    if isinstance(spec, GatherSpec) and spec.branch:
        turn.end(node, Mark.FAILED)  # the branch is lost; the gather behind it decides
        return
    sources = set(_sources(turn, node))
    fail_scope(turn, next(entry.error for entry in turn.graph.tolerated if entry.node in sources))


def _is_tolerated(turn: Turn, node: int) -> bool:
    targets = [turn.block.edges[index] for index in turn.block.nodes[node].outgoing]
    targets = [edge for edge in targets if edge.kind is not EdgeKind.ORDER]
    return bool(targets) and all(_can_do_without(turn, edge.target) for edge in targets)


def _can_do_without(turn: Turn, target: int) -> bool:
    """Whether ``target``'s join is met, or can still be met by predecessors that have not ended."""
    plan = turn.block.nodes[target]
    if isinstance(plan.spec, GatherSpec) and plan.spec.branch:
        return _is_tolerated(turn, target)
    if not tolerates_failure(plan.join):
        return False
    alive = possible = 0
    for index in plan.incoming:
        edge = turn.block.edges[index]
        if edge.kind is EdgeKind.ORDER:
            continue
        alive += turn.graph.marks[edge.source] in _ALIVE_MARKS and index not in turn.graph.untaken
        possible += turn.is_open(edge.source)
    needed = plan.join.count if plan.join.kind is JoinKind.AT_LEAST else 1
    return alive >= needed or (turn.graph.marks[target] == Mark.WAITING and alive + possible >= needed)


def _sources(turn: Turn, node: int) -> list[int]:
    """Authored predecessors, hidden ones looked through."""
    found: list[int] = []
    for index in turn.block.nodes[node].incoming:
        source = turn.block.edges[index].source
        found += _sources(turn, source) if turn.block.nodes[source].hidden else [source]
    return found
