"""Reopening a graph that has ended: nodes get new visits, and what was kept tells them again how it ended.

What failed, was cancelled, or was skipped because of that, runs again, and so do what was undone and what ran in spite
of the failure (`all_done`), with all after it. What else succeeded, was excused, or had its failure dealt with is kept,
and nothing is decided anew that those decided: which of their edges are dead is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from functools import cache, partial

from workflow_runtime.engine.graph import failure, outcome
from workflow_runtime.engine.graph.joins import tolerates_failure
from workflow_runtime.engine.graph.readiness import NO_EDGES, arrive
from workflow_runtime.engine.graph.retries import begin_visit
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ALIVE_MARKS, OPEN_MARKS, Change, Mark
from workflow_runtime.engine.turn import ValuesMissing
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan.edges import EdgeKind, JoinKind
from workflow_runtime.plan.specs import ParallelSpec

_LOST = frozenset({Mark.FAILED, Mark.CANCELLED, Mark.DROPPED})
_RAN = frozenset({Mark.SUCCESS, Mark.FAILED, Mark.EXCUSED, Mark.HANDLED, Mark.CANCELLED})


def reopen(scope: GraphScope, again: Iterable[int] = (), *, with_lost: bool = True) -> None:
    """Have these nodes run again, whatever their outcome, and those that were lost.

    Raises `ValuesMissing`.
    """
    graph = scope.graph
    scope.is_closed = False  # it may have ended in this very turn
    for node in again:
        if node in scope.block.loops:
            scope.forget_inside(node)
    anew = set(again) | (_lost(scope) if with_lost else set())
    anew |= _callers(scope, anew)
    anew |= _stale(scope, anew)
    anew |= _substitutes(scope, anew)
    for node in sorted(anew):
        _begin_visit(scope, node)
    graph.failure = None
    graph.tolerated = tuple(entry for entry in graph.tolerated if entry.node not in anew)
    graph.succeeded_by = -1
    graph.joins.clear()  # all are told again
    graph.layers.clear()
    graph.held.clear()
    graph.open_count = sum(scope.is_open(node) and not scope.is_uncalled(node) for node in range(len(graph.marks)))
    _resume_branches(scope)
    for node, plan in enumerate(scope.block.nodes):
        if not plan.incoming and graph.marks[node] == Mark.WAITING and not plan.called:
            scope.due.append(node)
    _tell_again(scope)
    scope.scopes.mark(scope)


def _lost(scope: GraphScope) -> set[int]:
    """Nodes that failed, were cancelled or were skipped, unless what comes after them can do without them.

    From the end of the graph back: a node is lost if nothing comes after it, or something that is lost and needs it, or
    something that ran though it needs it.
    """
    graph, block, is_met = scope.graph, scope.block, cache(partial(_is_met, scope))
    tolerated = {entry.node for entry in graph.tolerated}
    candidates = {node for node, mark in enumerate(graph.marks) if mark in _LOST}
    found: dict[int, None] = {}
    for node in candidates:
        failed = graph.marks[node] == Mark.FAILED and node not in tolerated
        targets = [block.edges[index].target for index in block.nodes[node].outgoing]
        if failed or not targets or any(t not in candidates and not is_met(t) for t in targets):
            found[node] = None
    pending = list(found)
    while pending:
        target = pending.pop()
        for index in () if is_met(target) else block.nodes[target].incoming:
            source = block.edges[index].source
            if source in candidates and source not in found:
                found[source] = None
                pending.append(source)
    return set(found)


def _substitutes(scope: GraphScope, anew: Set[int]) -> set[int]:
    """What has run in the place of nodes that run again: it may have to once more."""
    found: set[int] = set()
    for node in anew:
        found |= {target for target in scope.block.callable_by(node) if not scope.is_open(target)}
    return found


def _stale(scope: GraphScope, anew: Set[int]) -> set[int]:
    """What the nodes that run again had a part in, as they ended before: nodes skipped for want of them, those that ran
    whatever became of them, and all after those. What nobody called may be called.
    """
    block, marks = scope.block, scope.graph.marks
    found = {node for node, plan in enumerate(block.nodes) if plan.called and marks[node] == Mark.SKIPPED}
    pending = list(anew)
    while pending:
        for index in block.nodes[pending.pop()].outgoing:
            target = block.edges[index].target
            if target in found or target in anew:
                continue
            if block.nodes[target].join.kind is JoinKind.ALL_DONE:
                later = all_after(scope, {target}) - found
            else:
                later = {target} if marks[target] == Mark.SKIPPED else set()
            found |= later
            pending += later
    return found


def _is_met(scope: GraphScope, target: int) -> bool:
    """Whether a join that can do without some of its predecessors has enough of them."""
    join, graph = scope.block.nodes[target].join, scope.graph
    if not tolerates_failure(join):
        return False
    edges = [(index, scope.block.edges[index]) for index in scope.block.nodes[target].incoming]
    alive = sum(
        graph.marks[edge.source] in ALIVE_MARKS and index not in graph.untaken and edge.kind is not EdgeKind.ORDER
        for index, edge in edges
    )
    return alive >= (join.count if join.kind is JoinKind.AT_LEAST else 1)


def all_after(scope: GraphScope, nodes: Iterable[int]) -> set[int]:
    """Nodes, and every one that edges lead to from them."""
    found: set[int] = set()
    pending = [*nodes]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending += [scope.block.edges[index].target for index in scope.block.nodes[current].outgoing]
    return found


def _begin_visit(scope: GraphScope, node: int) -> None:
    graph = scope.graph
    if graph.marks[node] in _RAN:
        begin_visit(scope, node)
    elif graph.serial(node) > graph.visit(node):  # it was skipped, and that was recorded
        graph.visits[node] = graph.serial(node)
    for index in scope.block.nodes[node].outgoing:
        graph.untaken.pop(index, None)
    scope.change(node, Change.REOPEN)


def _callers(scope: GraphScope, anew: Set[int]) -> set[int]:
    """Of the nodes whose failure was dealt with by calling one that runs again: it is called once more if they fail."""
    found: set[int] = set()
    for node, mark in enumerate(scope.graph.marks):
        if mark != Mark.HANDLED:
            continue
        targets = scope.block.callable_by(node)
        if any(target in anew and scope.graph.marks[target] in _RAN for target in targets):
            found.add(node)
    return found


def _resume_branches(scope: GraphScope) -> None:
    """Count what is open in those branches of limited parallels that had begun."""
    graph, block = scope.graph, scope.block
    graph.branches.clear()
    for head, parallel in block.limited_heads.items():
        spec = block.nodes[parallel].spec
        assert isinstance(spec, ParallelSpec)
        still_open = sum(scope.is_open(member) for member in spec.members[spec.branches.index(head)])
        if still_open and graph.marks[head] not in OPEN_MARKS:
            graph.branches[head] = still_open


def _tell_again(scope: GraphScope) -> None:
    """Resolve the edges from nodes that are kept to nodes that run again. Raises `ValuesMissing`."""
    lacks = False
    block, marks = scope.block, scope.graph.marks
    kept = {node for node, mark in enumerate(marks) if mark not in OPEN_MARKS}  # others end on the way
    for index, edge in enumerate(block.edges):
        if edge.source not in kept:
            continue
        way = block.way(index)
        if way is None or all(marks[target] != Mark.WAITING for target in (way.target, *way.others)):
            continue  # the first of its layer is told, if any of it waits
        try:
            alive = _is_alive(scope, index)
        except ValuesMissing:
            lacks = True
        except EvaluationError as error:
            failure.fail_scope(scope, outcome.document(scope, edge.source, error, "edge condition: "))
            return
        else:
            arrive(scope, (way,), NO_EDGES if alive else {index})
    if lacks:
        raise ValuesMissing


def _is_alive(scope: GraphScope, index: int) -> bool:
    """Whether an edge was alive when its source ended; its condition is looked at once more, as its target may have
    been lost before it was."""
    edge = scope.block.edges[index]
    mark = scope.graph.marks[edge.source]
    if edge.kind is EdgeKind.ORDER or mark not in ALIVE_MARKS or index in scope.graph.untaken:
        return False
    if edge.kind is EdgeKind.GATE and mark != Mark.SUCCESS:
        return False
    return scope.holds(edge)
