"""What people ask of an execution as a whole: what may be asked when stands in `lifecycle`.

Each function that takes a request returns why it has no effect, or ``""``; each raises `ValuesMissing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine import applied, ending, holding, settling
from workflow_runtime.engine.chart import interpreter
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import NotifyParent, ReplaceVariables, SetStatus
from workflow_runtime.engine.events import (
    CancelRequested,
    CompensateRequested,
    ControlEvent,
    ReopenRequested,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
    SuspendRequested,
)
from workflow_runtime.engine.graph import failure, loops, outcome, reopening, retries
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.graph.outcome import Given
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, Change, ExecutionStatus, Mark
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.suspending import accept_resume, accept_suspend, go_on, node_at, tell_children
from workflow_runtime.engine.visits import Undoables
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.plan import segments
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, Place, ScopeId, passes_around
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.plan import Plan


def accept_request(scopes: Scopes, request: ControlEvent) -> str:
    """Take a request, once."""
    if applied.is_known(scopes.turn, request.event_id):
        return applied.REQUEST_TAKEN
    problem = _TAKERS[type(request)](scopes, request)
    if not problem:
        applied.remember(scopes.turn, request.event_id)
    return problem


# ---- cancel


def accept_cancel(scopes: Scopes, request: CancelRequested) -> str:
    """End the execution now: what waits is dropped, what runs is told, and so are the children that are awaited."""
    holding.forget(scopes.turn.state)
    scopes.turn.reason = request.reason
    tell_children(scopes, "cancel", request.reason, of_nodes=False)  # those are told when their nodes end
    ending.cancel(scopes, request.reason)
    return ""


# ---- retry


def accept_retry(scopes: Scopes, request: RetryRequested) -> str:
    """Reopen the execution: what was lost runs again, and so do a node of the graph at the top and all after it. Of one
    that a failure has suspended, run the node that failed again."""
    turn = scopes.turn
    variables = turn.blob(request.blob) if request.blob is not None else request.variables
    assert isinstance(variables, dict)
    problem = cannot_retry(turn.plan, turn.state, turn.status_before, request.node, variables)
    if problem:
        return problem
    if turn.status_before is ExecutionStatus.SUSPENDED:
        _retry_escalated(scopes, variables, request.reason)
        return ""
    root = scopes.root
    assert isinstance(root, GraphScope)
    again = {TOP_GRAPH: reopening.all_after(root, {turn.plan.root.index[request.node]})} if request.node else {}
    _reopen(scopes, again, variables)
    return ""


def _retry_escalated(scopes: Scopes, variables: dict[str, Json], reason: str) -> None:
    state = scopes.turn.state
    escalated = go_on(scopes, reason)
    assert escalated is not None, "`cannot_retry` has looked"
    if variables:
        _replace_variables(scopes, variables)
        _set_in_charts(scopes, variables)
        scopes.turn.commands.append(SetStatus(ExecutionStatus.RUNNING, scopes.turn.now, replaced=state.replaced))
    scope, node = node_at(scopes, escalated.path)
    retries.begin_anew(scope, node, began=escalated.began)


def cannot_retry(
    plan: Plan, state: ExecutionState, status: ExecutionStatus, node: str, variables: dict[str, Json]
) -> str:
    """Why an execution that has this status cannot go on so; "" if it can."""
    if status is ExecutionStatus.SUSPENDED:
        return _cannot_retry_escalated(state, node) or _cannot_replace(plan, variables)
    problem = _cannot_reopen(state)
    if problem:
        return problem
    if node:
        problem = _cannot_begin_from(plan, status, node)
    elif status is ExecutionStatus.COMPLETED:
        problem = "the execution has completed: name the node to run again from"
    return problem or _cannot_replace(plan, variables)


def _cannot_retry_escalated(state: ExecutionState, node: str) -> str:
    if state.escalated is None:
        return "the execution is suspended, and not because of a failure: resume it"
    if node not in ("", state.escalated.path):
        return f"the execution is suspended because `{state.escalated.path}` failed: only that node can be retried"
    return ""


def _cannot_reopen(state: ExecutionState) -> str:
    if state.aborted:
        return "the execution was ended from outside its workflow, so there is nothing to go on from"
    if state.parent is not None and state.parent.notify:
        return f"the execution {state.parent.execution_id} waits for this one: ask that one"
    return ""


def _cannot_begin_from(plan: Plan, status: ExecutionStatus, node: str) -> str:
    found = plan.root.nodes[plan.root.index[node]] if node in plan.root.index else None
    if found is None or found.hidden:
        ids = [candidate.id for candidate in plan.root.nodes if not candidate.hidden]
        return with_hint(f"the graph at the top of the workflow has no node `{node}` to run again from", node, ids)
    if found.called:
        return f"the node `{node}` only runs when another one calls it"
    if status is ExecutionStatus.COMPLETED and plan.has_chart:
        return "the state machine of the execution has reached its end, so nothing could end it again"
    return ""


def _cannot_replace(plan: Plan, variables: dict[str, Json]) -> str:
    declared = [variable.name for variable in plan.variables]
    unknown = next((name for name in variables if name not in declared), None)
    if unknown is None:
        return ""
    return with_hint(f"the workflow declares no variable `{unknown}`", unknown, declared)


def _replace_variables(scopes: Scopes, variables: dict[str, Json]) -> None:
    """Graphs read these from now on, and so does what is ordered; each replacement has a number of its own."""
    turn, state = scopes.turn, scopes.turn.state
    number = max(state.attempt, state.replaced + 1)
    turn.commands.append(ReplaceVariables(number, variables, state.replaced))
    turn.replacing = variables
    state.replaced = number
    state.globals = None


def _set_in_charts(scopes: Scopes, variables: dict[str, Json]) -> None:
    for address in list(scopes.turn.state.scopes):
        scope = scopes[address]
        if isinstance(scope, ChartScope):
            for name, value in variables.items():
                scope.set_variable(name, value)


def accept_reopening(scopes: Scopes, request: ReopenRequested) -> str:
    """Have the execution go on because its parent does, and tell that of its end under the new token."""
    turn = scopes.turn
    state, before = turn.state, turn.status_before
    if state.parent is None:
        raise InvalidEvent("no other execution started this one")
    if applied.is_known(turn, request.event_id):
        return applied.REQUEST_TAKEN
    applied.remember(turn, request.event_id)
    state.parent = replace(state.parent, token=request.token)
    if before is ExecutionStatus.COMPENSATING:
        state.goes_on = not state.aborted
    elif before.terminal and (state.aborted or before is ExecutionStatus.COMPLETED):
        turn.commands.append(NotifyParent(state.parent.execution_id, request.token))  # there is nothing left to do
    elif before.terminal:
        reopen_for_parent(scopes)
    return ""


def reopen_for_parent(scopes: Scopes) -> None:
    """Reopen an execution whose parent goes on. Raises `ValuesMissing`."""
    state = scopes.turn.state
    state.goes_on = False
    state.status = ExecutionStatus.RUNNING
    _reopen(scopes, {}, {})


def _reopen(scopes: Scopes, again: Mapping[ScopeId, set[int]], variables: dict[str, Json]) -> None:
    """Have what was lost run again, and these nodes, by scope, whatever their outcome."""
    turn, state, root = scopes.turn, scopes.turn.state, scopes.root
    assert isinstance(root, GraphScope)
    state.attempt += 1
    state.error = None
    state.ended_at = 0
    if variables:
        _replace_variables(scopes, variables)
    status = SetStatus(ExecutionStatus.RUNNING, turn.now, reopened=state.attempt, replaced=state.replaced)
    turn.commands.append(status)
    if "execution" in turn.plan.events:
        turn.publish("execution.reopened", status="running", started_at=state.started_at, attempt=state.attempt)
    root.pending.clear()  # what it waited for when it ended
    settling.start_deadline(scopes, turn.now)
    with_lost = turn.status_before is not ExecutionStatus.COMPLETED
    anew = _forget_undone(scopes)
    for address, nodes in again.items():
        anew.setdefault(address, set()).update(nodes)
    reopening.reopen(root, anew.get(TOP_GRAPH, set()), with_lost=with_lost)
    if turn.plan.has_chart and TOP_CHART not in scopes:  # it was cancelled before it began
        settling.start(scopes)
        return
    _set_in_charts(scopes, variables)
    for address in list(state.scopes):
        scope = scopes.get(address)  # a loop is forgotten when all of it runs anew
        if isinstance(scope, GraphScope) and address != TOP_GRAPH:
            reopening.reopen(scope, anew.get(address, set()))
        elif isinstance(scope, ChartScope):
            interpreter.resume(scope)


def _forget_undone(scopes: Scopes) -> dict[ScopeId, set[int]]:
    """The nodes whose visits were undone, and all after them, by scope: they run again, and nothing is left of those
    visits to undo."""
    state, plan = scopes.turn.state, scopes.turn.plan
    undone: dict[ScopeId, set[int]] = {}
    kept = []
    for place, visit in enumerate(state.undo):
        fate = state.fates.get(place)
        if fate is None or fate.mark != Mark.SUCCESS:
            kept.append(visit)
            continue
        block, node = plan.place(visit.number)
        address = visit.prefix.rstrip("/")
        scope = scopes.get(address)
        if isinstance(scope, GraphScope) and scope.graph.block == block and scope.graph.serial(node) == visit.serial:
            undone.setdefault(address, set()).add(node)
        elif scope is None and (loop := _run_pass_again(scopes, address)) is not None:
            undone.setdefault(loop.scope, set()).add(loop.node)
    state.undo = Undoables.of(kept)
    state.fates.clear()
    return {address: _all_after(scopes, address, nodes) for address, nodes in undone.items()}


def _all_after(scopes: Scopes, address: ScopeId, nodes: set[int]) -> set[int]:
    scope = scopes[address]
    assert isinstance(scope, GraphScope), "only graphs have nodes"
    return reopening.all_after(scope, nodes)


def _run_pass_again(scopes: Scopes, address: ScopeId) -> Place | None:
    """What was undone in a pass of a loop, of which nothing is left but the loop: that runs the pass once more. A loop
    that has succeeded, or whose passes read each other, runs anew: its place, if its graph is still there."""
    for loop, index in passes_around(address):
        kept = scopes.get(loop)
        if isinstance(kept, LoopScope) and not kept.spec.is_chained:
            loops.run_again(kept, index)
            return None
        place = scopes.turn.plan.locate(loop)
        if place is not None and isinstance(scopes.get(place.scope), GraphScope):
            return place
    return None


# ---- skip


def accept_skip(scopes: Scopes, request: SkipRequested) -> str:
    """Go on without a node that waits or has failed, or with the output that it should have had."""
    turn = scopes.turn
    output = turn.blob(request.blob) if request.blob is not None else request.output
    problem = cannot_skip(turn.plan, turn.state, turn.status_before, request.node)
    if problem:
        return problem
    if turn.status_before.terminal:
        place = turn.plan.locate(request.node)
        assert place is not None, "`cannot_skip` has looked"
        _reopen(scopes, {place.scope: {place.node}}, {})  # it may be no part of what was lost
    elif turn.state.escalated is not None and turn.state.escalated.path == request.node:
        go_on(scopes, request.reason)
        retries.begin_visit(*node_at(scopes, request.node))
    scope, node = node_at(scopes, request.node)
    if scope.graph.marks[node] == Mark.WAITING and turn.state.segments and segments.may_follow(scope.block, node):
        scope.renumber((node, *segments.after(scope.block, node)))
    began = failure.release(scope, node)
    if output is not UNSET:
        outcome.ended(scope, node, Given(output))
        return ""
    if began:
        scope.cancel_run(node)
    scope.end(node, Change.SKIP)
    return ""


def cannot_skip(plan: Plan, state: ExecutionState, status: ExecutionStatus, path: str) -> str:
    """Why the node cannot be left out now; "" if it can."""
    problem = _cannot_reopen(state) if status.terminal else ""
    place = plan.locate(path)
    if problem:
        return problem
    if place is None or plan.blocks[place.block].nodes[place.node].hidden or place.block in plan.undo_blocks:
        known = [id for id in plan.numbers if "~" not in id]
        return with_hint(f"the workflow has no node `{path}`", path, known)
    if place.scope not in state.scopes:
        return f"the node `{path}` is not at work: what holds it has not begun, or is over"
    graph = state.graph(place.scope)
    mark = Mark(graph.marks[place.node])
    if status.terminal:
        return "" if mark == Mark.FAILED else f"the node `{path}` has not failed, it is {STATUS_OF_MARK[mark].value}"
    if any(other == place.node for other in graph.fallbacks.values()):
        return f"the node `{path}` runs in the place of another: skip that one"
    if mark == Mark.READY or _is_ordered_with_others(plan.blocks[place.block], graph, place.node, state):
        return f"the node `{path}` was ordered from a worker: it can be skipped once it has failed"
    if mark not in _MAY_BE_SKIPPED:
        return f"the node `{path}` has ended, it is {STATUS_OF_MARK[mark].value}"
    if mark == Mark.WAITING and plan.blocks[place.block].nodes[place.node].called:
        return f"the node `{path}` only runs when another one calls it, and none has"
    return ""


def _is_ordered_with_others(block: GraphBlock, graph: GraphState, node: int, state: ExecutionState) -> bool:
    """Whether a worker that runs another node may be running this one by now."""
    ready = [each for each, mark in enumerate(graph.marks) if mark == Mark.READY] if state.segments else ()
    return any(node in segments.after(block, each) for each in ready)


_MAY_BE_SKIPPED = (Mark.WAITING, Mark.QUEUED, Mark.RUNNING, Mark.RETRYING, Mark.ESCALATED)


# ---- compensate


def accept_compensate(scopes: Scopes, _: CompensateRequested) -> str:
    """Undo what is not undone yet; then the execution has ended as before."""
    problem = cannot_compensate(scopes.turn.state)
    if not problem:
        ending.undo_again(scopes)
    return problem


def cannot_compensate(state: ExecutionState) -> str:
    """Why an execution that has ended has nothing to undo; "" if it has."""
    problem = _cannot_reopen(state)
    if problem:
        return problem
    undone = [fate for fate in state.fates.values() if fate.mark == Mark.SUCCESS]
    return "" if len(undone) < len(state.undo) else "nothing is left that could be undone"


_TAKERS: dict[type[ControlEvent], Callable[[Scopes, Any], str]] = {
    CancelRequested: accept_cancel,
    SuspendRequested: accept_suspend,
    ResumeRequested: accept_resume,
    RetryRequested: accept_retry,
    SkipRequested: accept_skip,
    CompensateRequested: accept_compensate,
}
