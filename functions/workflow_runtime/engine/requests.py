"""What people ask of an execution as a whole (language §7): who may ask when stands in `lifecycle`.

Each function returns why a request has no effect, or ``""``; each raises `ValuesMissing`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine import applied, ending, holding, settling
from workflow_runtime.engine.applied import REQUEST_TAKEN
from workflow_runtime.engine.chart import interpreter
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import NotifyParent, ReplaceVariables, SetStatus
from workflow_runtime.engine.events import (
    CancelRequested,
    CompensateRequested,
    ReopenRequested,
    RetryRequested,
    SkipRequested,
)
from workflow_runtime.engine.graph import failure, outcome, reopening
from workflow_runtime.engine.graph.outcome import Given
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, Change, ExecutionStatus, Mark
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.suspending import tell_children
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId
from workflow_runtime.plan.plan import Plan

# ---- cancel


def accept_cancel(scopes: Scopes, request: CancelRequested) -> str:
    """End the execution now: what waits is dropped, what runs is told, and so are the children that are awaited."""
    turn = scopes.turn
    if applied.is_known(turn, request.event_id):
        return REQUEST_TAKEN
    applied.remember(turn, request.event_id)
    holding.forget(turn.state)
    turn.reason = request.reason
    tell_children(scopes, "cancel", request.reason, of_nodes=False)  # those are told when their nodes end
    ending.cancel(scopes, request.reason)
    return ""


# ---- retry


def accept_retry(scopes: Scopes, request: RetryRequested) -> str:
    """Reopen the execution: what was lost runs again, and so do a node of the graph at the top and all after it."""
    turn = scopes.turn
    if applied.is_known(turn, request.event_id):
        return REQUEST_TAKEN
    variables = turn.blob(request.blob) if request.blob is not None else request.variables
    assert isinstance(variables, dict)
    problem = cannot_retry(turn.plan, turn.state, turn.status_before, request.node, variables)
    if problem:
        return problem
    applied.remember(turn, request.event_id)
    root = scopes.root
    assert isinstance(root, GraphScope)
    again = reopening.all_after(root, turn.plan.root.index[request.node]) if request.node else set()
    _reopen(scopes, again, variables)
    return ""


def cannot_retry(
    plan: Plan, state: ExecutionState, status: ExecutionStatus, node: str, variables: dict[str, Json]
) -> str:
    """Why an execution that has ended with this status cannot go on so; "" if it can."""
    problem = _cannot_reopen(state)
    if problem:
        return problem
    if node:
        problem = _cannot_begin_from(plan, status, node)
    elif status is ExecutionStatus.COMPLETED:
        problem = "the execution has completed: name the node to run again from"
    return problem or _cannot_replace(plan, variables)


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
        return _with_hint(f"the graph at the top of the workflow has no node `{node}` to run again from", node, ids)
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
    return _with_hint(f"the workflow declares no variable `{unknown}`", unknown, declared)


def _with_hint(text: str, word: str, known: Iterable[str]) -> str:
    hint = did_you_mean(word, known)
    return f"{text}. {hint}" if hint else text


def accept_reopening(scopes: Scopes, request: ReopenRequested) -> str:
    """Have the execution go on because its parent does, and tell that of its end under the new token."""
    turn = scopes.turn
    state, before = turn.state, turn.status_before
    if state.parent is None:
        raise InvalidEvent("no other execution started this one")
    if applied.is_known(turn, request.event_id):
        return REQUEST_TAKEN
    applied.remember(turn, request.event_id)
    state.parent = replace(state.parent, token=request.token)
    if before is ExecutionStatus.COMPENSATING:
        state.goes_on = True
    elif before.terminal and (state.aborted or before is ExecutionStatus.COMPLETED):
        turn.commands.append(NotifyParent(state.parent.execution_id, request.token))  # there is nothing left to do
    elif before.terminal:
        go_on(scopes)
    return ""


def go_on(scopes: Scopes) -> None:
    """Reopen an execution whose parent goes on. Raises `ValuesMissing`."""
    state = scopes.turn.state
    state.goes_on = False
    state.status = ExecutionStatus.RUNNING
    _reopen(scopes, set(), {})


def _reopen(scopes: Scopes, again: set[int], variables: dict[str, Json]) -> None:
    turn, state, root = scopes.turn, scopes.turn.state, scopes.root
    assert isinstance(root, GraphScope)
    state.attempt += 1
    state.error = None
    state.ended_at = 0
    if variables:
        turn.commands.append(ReplaceVariables(state.attempt, variables, state.replaced))
        turn.replacing = variables
        state.replaced = state.attempt
        state.globals = None
    status = SetStatus(ExecutionStatus.RUNNING, turn.now, reopened=state.attempt, replaced=state.replaced)
    turn.commands.append(status)
    if "execution" in turn.plan.events:
        turn.publish("execution.reopened", status="running", started_at=state.started_at, attempt=state.attempt)
    settling.start_deadline(scopes, turn.now)
    with_lost = turn.status_before is not ExecutionStatus.COMPLETED
    undone = _forget_undone(scopes)
    reopening.reopen(root, again | undone.get(TOP_GRAPH, set()), with_lost=with_lost)
    if turn.plan.has_chart and TOP_CHART not in scopes:  # it was cancelled before it began
        settling.start(scopes)
        return
    for address in list(state.scopes):
        scope = scopes[address]
        if isinstance(scope, GraphScope) and address != TOP_GRAPH:
            reopening.reopen(scope, undone.get(address, set()))
        elif isinstance(scope, ChartScope):
            for name, value in variables.items():
                scope.set_variable(name, value)
            interpreter.resume(scope)


def _forget_undone(scopes: Scopes) -> dict[ScopeId, set[int]]:
    """The nodes whose visits were undone, and all after them, by scope: they run again, and nothing is left of those
    visits to undo."""
    state, plan = scopes.turn.state, scopes.turn.plan
    found: dict[ScopeId, set[int]] = {}
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
            found.setdefault(address, set()).update(reopening.all_after(scope, node))
    state.undo[:] = kept
    state.fates.clear()
    return found


# ---- skip


def accept_skip(scopes: Scopes, request: SkipRequested) -> str:
    """Go on without a node that waits or has failed, or with the output that it should have had."""
    turn = scopes.turn
    if applied.is_known(turn, request.event_id):
        return REQUEST_TAKEN
    output = turn.blob(request.blob) if request.blob is not None else request.output
    problem = cannot_skip(turn.plan, turn.state, turn.status_before, request.node)
    if problem:
        return problem
    applied.remember(turn, request.event_id)
    place = turn.plan.locate(request.node)
    assert place is not None
    if turn.status_before.terminal:
        _reopen(scopes, set(), {})
    scope = scopes[place.scope]
    assert isinstance(scope, GraphScope)
    began = failure.release(scope, place.node)
    if output is not UNSET:
        outcome.ended(scope, place.node, Given(output))
        return ""
    if began:
        scope.cancel_run(place.node)
    scope.end(place.node, Change.SKIP)
    return ""


def cannot_skip(plan: Plan, state: ExecutionState, status: ExecutionStatus, path: str) -> str:
    """Why the node cannot be left out now; "" if it can."""
    problem = _cannot_reopen(state) if status.terminal else ""
    place = plan.locate(path)
    if problem:
        return problem
    if place is None or plan.blocks[place.block].nodes[place.node].hidden:
        return _with_hint(f"the workflow has no node `{path}`", path, plan.numbers)
    if place.scope not in state.scopes:
        return f"the state of the node `{path}` is not active"
    graph = state.graph(place.scope)
    mark = Mark(graph.marks[place.node])
    if status.terminal:
        return "" if mark == Mark.FAILED else f"the node `{path}` has not failed, it is {STATUS_OF_MARK[mark].value}"
    if any(other == place.node for other in graph.fallbacks.values()):
        return f"the node `{path}` runs in the place of another: skip that one"
    if mark == Mark.READY:
        return f"the node `{path}` runs in a worker: it ends by itself"
    if mark not in _MAY_BE_SKIPPED:
        return f"the node `{path}` has ended, it is {STATUS_OF_MARK[mark].value}"
    if mark == Mark.WAITING and plan.blocks[place.block].nodes[place.node].called:
        return f"the node `{path}` only runs when another one calls it, and none has"
    return ""


_MAY_BE_SKIPPED = (Mark.WAITING, Mark.QUEUED, Mark.RUNNING, Mark.RETRYING)


# ---- compensate


def accept_compensate(scopes: Scopes, request: CompensateRequested) -> str:
    """Undo what is not undone yet; then the execution has ended as before."""
    turn = scopes.turn
    if applied.is_known(turn, request.event_id):
        return REQUEST_TAKEN
    problem = cannot_compensate(turn.state)
    if problem:
        return problem
    applied.remember(turn, request.event_id)
    ending.undo_again(scopes)
    return ""


def cannot_compensate(state: ExecutionState) -> str:
    """Why an execution that has ended has nothing to undo; "" if it has."""
    problem = _cannot_reopen(state)
    if problem:
        return problem
    undone = [fate for fate in state.fates.values() if fate.mark == Mark.SUCCESS]
    return "" if len(undone) < len(state.undo) else "nothing is left that could be undone"
