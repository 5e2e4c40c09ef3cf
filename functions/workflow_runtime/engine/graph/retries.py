"""Attempts after the first: a node waits for its next one, and then begins again as one that is ready.

A run by a worker is ordered as it was, so that each attempt sees the same. Its order lies with the record of the
attempt that failed, not in the state: a retry that waits a day costs the state no more than its timer.
"""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Purpose, Yields
from workflow_runtime.engine.commands import Read, RunNode
from workflow_runtime.engine.graph.concurrency import make_ready
from workflow_runtime.engine.graph.policy import Retry
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import Change, Mark
from workflow_runtime.engine.turn import ValuesMissing


def wait(scope: GraphScope, node: int, retry: Retry) -> None:
    """The attempt at hand has failed and is recorded; begin the next one when it is time."""
    graph = scope.graph
    graph.retries[node] = retry.used
    if retry.fresh is not None or node in graph.agents:
        graph.agents[node] = graph.agents.get(node, Yields()).for_next_attempt(retry.fresh)
    graph.serials[node] = graph.serial(node) + 1
    graph.begun.pop(node, None)
    scope.change(node, Change.RETRY)
    scope.scopes.mark(scope)
    if retry.delay:
        pending.start_timer(scope, node, Purpose.RETRY, scope.turn.now + retry.delay)
    else:
        due(scope, node)


def due(scope: GraphScope, node: int) -> None:
    """The wait is over: the node is ready."""
    make_ready(scope, node)


def begin_anew(scope: GraphScope, node: int, *, began: bool) -> None:
    """A node whose failure was escalated gets a new visit, in which what failed in its place may run again, too.
    ``began`` False: its `when` is looked at first."""
    begin_visit(scope, node)
    for target in scope.block.callable_by(node):
        if scope.graph.marks[target] == Mark.HANDLED:
            begin_visit(scope, target)
            scope.change(target, Change.REOPEN)
    if began:
        due(scope, node)
    else:
        scope.change(node, Change.REOPEN)
        scope.due.append(node)
        scope.scopes.mark(scope)


def begin_visit(scope: GraphScope, node: int) -> None:
    """What the node does next is another visit than what is recorded of it."""
    graph = scope.graph
    graph.serials[node] = graph.visits[node] = graph.serial(node) + 1


def seed(scope: GraphScope, node: int) -> str:
    """Of the delay after the attempt at hand: no two attempts of any executions have the same."""
    return f"{scope.turn.state.execution_id}/run:{scope.path(node)}#{scope.graph.serial(node)}"


def next_run(scope: GraphScope, node: int) -> RunNode | None:
    """The order of the next run of an agent that has yielded; None of any other node. Raises `ValuesMissing`."""
    yields = scope.graph.agents.get(node)
    if yields is None or not yields.goes_on:
        return None
    order = _order_of_last_run(scope, node)
    assert order is not None, "a run that yields keeps its order"
    scope.graph.agents[node] = replace(yields, goes_on=False, answers={})
    answers = {**order.answers, **yields.answers}
    return replace(order, serial=scope.graph.serial(node), answers=answers, used=yields.used)


def _order_of_last_run(scope: GraphScope, node: int) -> RunNode | None:
    """What the record of the run before kept of its order. Raises `ValuesMissing`."""
    ended = Read(scope.block.first + node, scope.graph.serial(node) - 1, scope.prefix)
    if ended not in scope.turn.known.orders:
        scope.turn.lacks().orders[ended] = None
        raise ValuesMissing
    return scope.turn.known.orders[ended]


def order_as_before(scope: GraphScope, node: int) -> RunNode | None:
    """The order of the next attempt of a node that is retried; None for a first attempt, or if there is no order to
    repeat. Raises `ValuesMissing`.

    What an action called has its inputs from the order only, also in a new visit.
    """
    serial = scope.graph.serial(node)
    is_called_again = node in scope.graph.visits and scope.graph.block in scope.plan.lone_blocks
    if node not in scope.graph.retries and not is_called_again:
        return None
    order = _order_of_last_run(scope, node)
    if order is None or serial > scope.graph.visit(node):
        return _next_attempt(scope, node, order) if order is not None else None
    reopened = scope.turn.state.attempt - 1
    anew = replace(order, serial=serial, visit=serial, attempt=1, at=scope.turn.now, reopened=reopened)
    return replace(anew, log=0, fresh=False, answers={}, used=0)


def _next_attempt(scope: GraphScope, node: int, failed: RunNode) -> RunNode:
    """The order of the attempt after this one. An agent goes on from its steps, or forgets them: as the policy says
    that granted the attempt, else as its error has it."""
    yields = scope.graph.agents.get(node, Yields())
    fresh = failed.fresh if yields.fresh is None else yields.fresh
    serial = scope.graph.serial(node)
    answers = {} if fresh else failed.answers
    again = replace(failed, serial=serial, attempt=failed.attempt + 1, log=failed.log + fresh, fresh=False)
    return replace(again, answers=answers, used=0)
