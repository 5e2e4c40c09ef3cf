"""What a node's failure means to its scope: what is only a dead edge, what fails the scope, and who still runs."""

from __future__ import annotations

from workflow_runtime.engine.graph.joins import tolerates_failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ALIVE_MARKS, Change, Mark
from workflow_runtime.engine.scope_states import ToleratedError
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.edges import EdgeKind, JoinKind
from workflow_runtime.plan.specs import FailSpec, GatherSpec


def failed(scope: GraphScope, node: int, error: ErrorDocument) -> None:
    """A node has failed for good: a dead edge if every successor can do without it, else the end of its scope."""
    if scope.graph.failure is not None:
        return
    targets = _joins_behind(scope, node)
    if (
        isinstance(scope.block.nodes[node].spec, FailSpec)
        or not targets
        or not all(tolerates_failure(scope.block.nodes[target].join) for target in targets)
    ):
        fail_scope(scope, error)
        return
    scope.graph.tolerated += (ToleratedError(node, error),)
    lost = [target for target in targets if not _can_be_met(scope, target)]
    if lost:
        fail_scope(scope, _earliest_error(scope, lost) or error)


def fail_scope(scope: GraphScope, error: ErrorDocument) -> None:
    """From now on the scope fails with the first ``error``: running nodes are cancelled, waiting ones skipped.

    ``all_done`` nodes are left to run; the edges of all others, dead now, still tell them when their time has come.
    """
    if scope.graph.failure is not None:
        return
    scope.graph.failure = error
    kept = _kept(scope)
    for node in range(len(scope.block.nodes)):
        if scope.is_open(node) and node not in kept:
            withdraw(scope, node)


def _kept(scope: GraphScope) -> set[int]:
    """The open nodes that a failure of their scope leaves alone, and those that they may still call."""
    nodes = scope.block.nodes
    pending = [n for n in range(len(nodes)) if nodes[n].join.kind is JoinKind.ALL_DONE and scope.is_open(n)]
    kept: set[int] = set()
    while pending:
        node = pending.pop()
        if node not in kept:
            kept.add(node)
            pending += [target for target in scope.block.callable_by(node) if scope.is_open(target)]
    return kept


def withdraw(scope: GraphScope, node: int) -> None:
    """End an open node from outside: a waiting one is skipped, a ready or running one cancelled."""
    began = release(scope, node)
    if began:
        scope.cancel_run(node)
    scope.end(node, Change.DROP if scope.graph.marks[node] == Mark.WAITING else Change.CANCEL)


def release(scope: GraphScope, node: int) -> bool:
    """Have nothing go on in an open node any more, nor wait for it. Whether its run has begun, or was ordered."""
    graph = scope.graph
    mark = graph.marks[node]
    if mark == Mark.READY:
        scope.turn.state.in_flight -= 1
    elif mark in (Mark.RUNNING, Mark.RETRYING):
        scope.stop(node)
        fallback = graph.fallbacks.get(node, -1)
        if fallback >= 0 and scope.is_open(fallback):
            withdraw(scope, fallback)
    elif mark == Mark.QUEUED:
        for waiting in (graph.held, graph.queue):
            if node in waiting:  # in neither, if its decision lacks values: the turn will be taken again
                waiting.remove(node)
        return node in graph.retries
    elif mark == Mark.ESCALATED:
        scope.turn.state.escalated = None
        return False  # its attempt is recorded
    return mark != Mark.WAITING


def join_lost(scope: GraphScope, node: int) -> None:
    """A join that can no longer be met: its node is skipped, unless a failure is among what it waited for in vain.

    Then the scope fails with the earliest of those errors. A branch of a parallel is only lost; the gather behind it
    decides.
    """
    spec = scope.block.nodes[node].spec
    is_branch = isinstance(spec, GatherSpec) and spec.branch
    error = None if is_branch or not scope.graph.tolerated else _earliest_error(scope, [node])
    if error is not None:
        fail_scope(scope, error)
    else:
        scope.end(node, Change.SKIP)


def _joins_behind(scope: GraphScope, node: int) -> list[int]:
    """The nodes that need ``node`` to succeed, in file order; the end of a parallel's branch stands for the gather
    behind.
    """
    found: list[int] = []
    for index in scope.block.nodes[node].outgoing:
        edge = scope.block.edges[index]
        if edge.kind is EdgeKind.ORDER:
            continue
        spec = scope.block.nodes[edge.target].spec
        is_branch = isinstance(spec, GatherSpec) and spec.branch
        found += _joins_behind(scope, edge.target) if is_branch else [edge.target]
    return found


def _can_be_met(scope: GraphScope, target: int) -> bool:
    """Whether the join of ``target``, ``any`` or ``at_least``, is met, or can still be met by what has not ended."""
    join = scope.block.nodes[target].join
    alive = possible = 0
    for index in scope.block.nodes[target].incoming:
        edge = scope.block.edges[index]
        if edge.kind is not EdgeKind.ORDER:
            alive += scope.graph.marks[edge.source] in ALIVE_MARKS and index not in scope.graph.untaken
            possible += scope.is_open(edge.source)
    needed = join.count if join.kind is JoinKind.AT_LEAST else 1
    return alive >= needed or (scope.graph.marks[target] == Mark.WAITING and alive + possible >= needed)


def _earliest_error(scope: GraphScope, targets: list[int]) -> ErrorDocument | None:
    """The first tolerated failure among the predecessors of ``targets``."""
    sources = {source for target in targets for source in _sources(scope, target)}
    return next((entry.error for entry in scope.graph.tolerated if entry.node in sources), None)


def _sources(scope: GraphScope, node: int) -> list[int]:
    """Authored predecessors that could have made the node run, hidden ones looked through."""
    found: list[int] = []
    for index in scope.block.nodes[node].incoming:
        edge = scope.block.edges[index]
        if edge.kind is not EdgeKind.ORDER:
            found += _sources(scope, edge.source) if scope.block.nodes[edge.source].hidden else [edge.source]
    return found
