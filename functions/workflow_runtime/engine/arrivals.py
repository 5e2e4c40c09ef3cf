"""What an event means here: to whom it goes, and what becomes of one that nobody takes.

Results of runs go to their node by path. Timers and ends of children go to the owner named in the table of pending
things. Events with a name are offered to the waits and charts that are active, innermost first. Each function returns
why the event had no effect, or ``""``; each raises `ValuesMissing`.
"""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.engine import applied, compensation, ending, holding, pending, subscriptions
from workflow_runtime.engine.awaited import Pending, PendingKind, Purpose
from workflow_runtime.engine.chart import interpreter
from workflow_runtime.engine.chart.events import data_of, of_signal
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import Unsubscribe
from workflow_runtime.engine.events import (
    SELF,
    ChildEnded,
    ChildStarted,
    NodeFailed,
    NodeSucceeded,
    NodeYielded,
    RunEnded,
    RunStopped,
    SendFailed,
    SignalReceived,
    TimerFired,
)
from workflow_runtime.engine.graph import agents, callbacks, loops, outcome, parts, policy, readiness, resolve, waits
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.work import OUTPUTS_PATH, order_again
from workflow_runtime.engine.lifecycle import RESULT_ROWS, SUSPENDED, ExecutionStatus
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.pending import Arrived, Ended
from workflow_runtime.engine.scopes import Scope, Scopes
from workflow_runtime.engine.tables import appended, keys_at
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import error_value
from workflow_runtime.engine.visits import awaited_as
from workflow_runtime.errors import ErrorDocument, InvalidEvent
from workflow_runtime.plan import segments
from workflow_runtime.plan.addresses import TOP_CHART, ScopeId, static_path
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.plan import Plan

KEPT_MAX = 1_000  # events that came before their wait; the newest stay
KEPT_MS = 30 * 24 * 3600 * 1000  # and how old they may become
DEFERRED_MAX = 1_000


# ---- results of runs


def accept_result(scopes: Scopes, event: NodeSucceeded | NodeFailed) -> str:
    """A run ended well or badly; once, late, or twice. Raises `InvalidEvent` for one that was never ordered."""
    if event.path == OUTPUTS_PATH:
        return _accept_outputs(scopes, event)
    turn = scopes.turn
    if turn.state.stopping and awaited_as(turn.state.stopping, event.path, event.serial):
        compensation.stopped(scopes, event)
        return ""
    found = _current_run(scopes, event.path, event.serial)
    if isinstance(found, str):
        return "" if compensation.came_late(scopes, event) else found
    scope, node = found
    is_suspended = turn.state.status is SUSPENDED
    if not isinstance(event, NodeSucceeded):
        result: outcome.Result = policy.Failure(event.error, event.command, started_at=event.started_at)
    elif not turn.plan.has_loops or not loops.awaits_items(scope, node):
        result = event
    elif is_suspended:
        return holding.hold(turn, event)
    else:
        loops.items_read(scope, node, event.values)
        return ""
    if turn.ordered:
        turn.order_no_longer(event.path, event.serial)
    if is_suspended and outcome.must_wait(scope, node, result):
        return holding.hold(turn, event)
    outcome.ended(scope, node, result)
    if is_suspended and isinstance(event, NodeSucceeded) and event.goes_on:
        readiness.begin_next_in_place(scope, node)
    return ""


def accept_yield(scopes: Scopes, event: NodeYielded) -> str:
    """The code of a run has returned; its node waits for its task token. Raises `InvalidEvent`."""
    if awaited_as(scopes.turn.state.stopping, event.path, event.serial):
        compensation.stopped(scopes, event)
        return ""
    found = _current_run(scopes, event.path, event.serial)
    if isinstance(found, str):
        return found
    scopes.turn.order_no_longer(event.path, event.serial)
    yielded = callbacks.yielded if event.task else agents.yielded
    yielded(*found, event)
    return ""


def _current_run(scopes: Scopes, path: str, serial: int) -> tuple[GraphScope, int] | str:
    """The node whose run has come to something; or why that means nothing any more. Raises `InvalidEvent`."""
    place = scopes.turn.plan.locate(path)
    if place is None:
        raise InvalidEvent(f"the plan has no node {path!r}")
    scope = scopes.get(place.scope)
    if scope is None:
        return "the state that ran it was left before its result came"
    assert isinstance(scope, GraphScope)
    current, reason = scope.graph.serial(place.node), RESULT_ROWS.get(scope.graph.marks[place.node])
    if serial == current and reason == "":
        return scope, place.node
    if serial < current:
        return f"run {serial} was superseded by run {current}"
    if reason is None and (callbacks.awaits(scope, place.node) or agents.has_yielded(scope, place.node)):
        return "the run's result is known already"
    state = scopes.turn.state
    if reason is None and serial == current and state.segments and segments.may_follow(scope.block, place.node):
        if state.takes_early and readiness.begin_in_place(scope, place.node):
            return scope, place.node
        return "it ran in place after others: who is to run it finds what it came to"
    if reason is None or serial > current:
        raise InvalidEvent(f"run {serial} of node {path!r} was never ordered")
    return reason


def accept_stop(scopes: Scopes, event: RunStopped) -> str:
    """A run that was told to stop never began."""
    if not awaited_as(scopes.turn.state.stopping, event.path, event.serial):
        return "nobody waits for this run any more"
    compensation.stopped(scopes, event)
    return ""


def _accept_outputs(scopes: Scopes, event: NodeSucceeded | NodeFailed) -> str:
    root = scopes.root
    assert isinstance(root, GraphScope)
    current = root.graph.serial(OUTPUTS)
    if not scopes.turn.state.collecting and scopes.turn.state.status is ExecutionStatus.COMPENSATING:
        return "the execution ended before its outputs were put together"
    if not scopes.turn.state.collecting or event.serial > current:
        raise InvalidEvent(f"run {event.serial} of the outputs was never ordered")
    if event.serial < current:
        return f"run {event.serial} was superseded by run {current}"
    if scopes.turn.is_suspended:
        return holding.hold(scopes.turn, event)
    if isinstance(event, NodeSucceeded):
        ending.complete_with_run(scopes, event.serial)
        return ""
    verdict = policy.verdict(policy.Case(None, policy.Failure(event.error, event.command)))
    if isinstance(verdict, policy.Repeat):
        order_again(root, OUTPUTS, verdict.order)
    else:
        ending.fail(scopes, event.error)
    return ""


# ---- timers, children, failures to send


def accept_timer(scopes: Scopes, event: TimerFired) -> str:
    """A timer fired."""
    turn = scopes.turn
    entry = pending.take(turn, event.timer)
    if entry is None:
        return "the timer was cancelled, or has fired already"
    turn.state.now = max(turn.now, entry.due)
    scope = scopes[entry.scope]
    pending.taken(scope, entry.owner, event.timer)
    if entry.purpose is Purpose.DEADLINE:
        ending.time_out(scopes)
    elif entry.purpose is Purpose.STOP:
        ending.stop_waiting(scopes)
    elif isinstance(scope, ChartScope):
        interpreter.timer_fired(scope, entry)
    elif isinstance(scope, LoopScope):
        loops.retry_due(scope, entry.owner)
    else:
        assert isinstance(scope, GraphScope)
        if entry.purpose is Purpose.HEARTBEAT:
            agents.heartbeat_due(scope, entry.owner, entry.name, event.heard)
        else:
            resolve(scope, entry.owner, entry)
    return ""


def accept_child(scopes: Scopes, event: ChildEnded | ChildStarted) -> str:
    """An execution that a node or an action started has ended, or is there."""
    entry = pending.take(scopes.turn, event.token)
    if entry is None:
        return "nobody waits for this execution's end"
    assert entry.kind is PendingKind.CHILD, "tokens are of executions that were started"
    scope = scopes[entry.scope]
    pending.taken(scope, entry.owner, event.token)
    if isinstance(scope, GraphScope):
        resolve(scope, entry.owner, event)
    elif isinstance(scope, LoopScope):
        assert isinstance(event, ChildEnded), "parts of loops are awaited"
        parts.ended(scope, entry.owner, event)
    elif isinstance(event, ChildEnded):
        _tell_of_child(scope, entry, event)
    return ""


def _tell_of_child(chart: Scope, entry: Pending, event: ChildEnded) -> None:
    """What an action of a chart started has ended: its result comes as an event."""
    assert isinstance(chart, ChartScope)
    turn = chart.turn
    data = {
        "execution_id": event.execution_id,
        "status": event.status,
        "output": event.output if event.blob is None else turn.blob(event.blob),
        "error": error_value(event.error) if event.error is not None else None,
    }
    signal = SignalReceived(
        event.event_id, turn.now, entry.name, data, id=event.execution_id, source="child", to=chart.path
    )
    turn.state.outbox = appended(turn.state.outbox, signal)


def accept_send_failure(scopes: Scopes, event: SendFailed) -> str:
    """What a chart sent has nowhere to go: it is told, if it still runs."""
    chart = scopes.get(event.machine or TOP_CHART)
    if not isinstance(chart, ChartScope):
        return "the chart that sent it is over"
    data = {"type": "execution_error", "message": event.message, "node": event.machine or None}
    chart.raise_event("error.communication", data)
    return ""


# ---- events with a name


def accept_signal(scopes: Scopes, signal: SignalReceived) -> str:
    """Take an event from outside, once."""
    if applied.is_known(scopes.turn, signal.event_id):
        return applied.TAKEN
    return take_signal(scopes, signal)


def take_signal(scopes: Scopes, signal: SignalReceived) -> str:
    """Take an event that was not taken before, or that was held."""
    turn = scopes.turn
    if signal.key is not None and not subscriptions.listens(scopes, signal):
        turn.commands.append(Unsubscribe(signal.name, signal.key, signal.route))
        return f"nothing here waits for `{signal.name}` under this key any more"
    problem = turn.plan.event_problem(signal.name, data_of(turn, signal)) if turn.plan.event_schemas else None
    if problem is not None:
        return problem
    applied.remember(turn, signal.event_id)
    turn.state.hops = signal.hops
    return deliver(scopes, signal)


def deliver(scopes: Scopes, signal: SignalReceived) -> str:
    """Offer an event to the waits and charts that are active, innermost first; the first that takes it has it."""
    if not signal.to:
        for scope, entry in _waits_for(scopes, signal.name):
            if waits.hears(scope, entry.owner, signal, entry.key):
                resolve(scope, entry.owner, Arrived(data_of(scopes.turn, signal)))
                return ""
    refusals: dict[ScopeId, str] = {}
    for id in _addressed(scopes, signal, scopes.turn.plan.charts_hearing(signal.name)):
        chart = scopes[id]
        assert isinstance(chart, ChartScope)
        reason = refusals[id] = offer_to_chart(chart, signal)
        if not reason:
            return ""
    return _untaken(scopes, signal, refusals)


def _addressed(scopes: Scopes, signal: SignalReceived, charts: Mapping[ScopeId, int]) -> list[ScopeId]:
    """Those of these charts that are at work and may take the event."""
    if _is_for_wait(scopes.turn.plan, signal):
        return []
    return [id for id in innermost_first(scopes, charts) if not signal.to or id == signal.to]


def _is_for_wait(plan: Plan, signal: SignalReceived) -> bool:
    """Whether a wait's own trigger brought it, so that nothing but such a wait may take it."""
    if not plan.correlated_waits:
        return False
    return plan.routes.get(signal.route, -1) in plan.correlated_routes


def _waits_for(scopes: Scopes, event: str) -> list[tuple[GraphScope, Pending]]:
    """The waits that listen to an event of this name: those of inner graphs first, within a graph in file order."""
    paths = scopes.turn.plan.waits_hearing(event)
    if not paths:
        return []
    waiting, in_passes = scopes.turn.state.pending, scopes.turn.plan.has_loops
    found: list[tuple[GraphScope, Pending]] = []
    for id in keys_at(waiting, {pending.event_id(path) for path in paths}, in_passes=in_passes):
        entry = waiting[id]
        scope = scopes[entry.scope]
        assert isinstance(scope, GraphScope)
        found.append((scope, entry))
    if len(found) > 1:
        concerned = {entry.scope for _, entry in found}
        places = {id: place for place, id in enumerate(filter(concerned.__contains__, scopes.turn.state.scopes))}
        found.sort(key=lambda item: (-item[0].depth, places[item[0].id], item[1].owner))
    return found


def innermost_first(scopes: Scopes, charts: Mapping[ScopeId, int]) -> list[ScopeId]:
    """Addresses of the active ones of these charts, which are numbers by static address. Nested ones come before those
    around them, else those that began first."""
    if not charts:
        return []
    plan = scopes.turn.plan
    active = keys_at(scopes.turn.state.scopes, charts, in_passes=plan.has_loops)
    if len(active) > 1:
        active.sort(key=lambda id: -plan.chart_depths[charts[static_path(id)]])
    return active


def _innermost(scopes: Scopes, signal: SignalReceived) -> ScopeId | None:
    """The first of all charts that may take the event, innermost first, so that it can say why it does not."""
    plan = scopes.turn.plan
    if signal.to or _is_for_wait(plan, signal):
        return next(iter(_addressed(scopes, signal, plan.chart_addresses)), None)
    deepest, found, found_depth = max(plan.chart_depths, default=-1), None, -1
    for id in scopes.turn.state.scopes:
        number = plan.chart_addresses.get(static_path(id))
        if number is not None and plan.chart_depths[number] > found_depth:
            found, found_depth = id, plan.chart_depths[number]
            if found_depth == deepest:  # none can be further in: the rest need not be looked at
                break
    return found


def offer_to_chart(chart: ChartScope, signal: SignalReceived) -> str:
    """Let a chart take an event."""
    try:
        if signal.source == SELF:
            interpreter.count_unprompted(chart, signal.name)
        return interpreter.take(chart, of_signal(chart.turn, signal))
    except interpreter.ChartFailed as failed:
        chart_ended(chart, Ended(error=failed.error))
        return ""


def tell_end(scopes: Scopes, ended: RunEnded) -> None:
    """Tell a chart of the end of a graph that it ran."""
    chart = scopes.get(ended.scope)
    if not isinstance(chart, ChartScope):
        return
    try:
        interpreter.take_end(chart, ended)
    except interpreter.ChartFailed as failed:
        chart_ended(chart, Ended(error=failed.error))


def chart_ended(chart: ChartScope, how: Ended) -> None:
    """A chart is in a final state, or cannot go on: its node, or at the top the execution, ends the same way."""
    outer = chart.outer
    if outer is not None:
        assert isinstance(outer, GraphScope)
        resolve(outer, chart.node, how)
    elif how.error is not None:
        ending.fail(chart.scopes, how.error)
    else:
        ending.complete(chart.scopes, how.output)


def _keep(turn: Turn, signal: SignalReceived) -> None:
    """Keep an event for a wait that begins later."""
    kept = (*turn.state.kept, signal)[-KEPT_MAX:]
    turn.state.kept = tuple(early for early in kept if early.at > turn.now - KEPT_MS)


def _untaken(scopes: Scopes, signal: SignalReceived, refusals: dict[ScopeId, str]) -> str:
    """What becomes of an event that nobody took: kept for a wait, deferred, a failure, or ignored with the reason.
    ``refusals``: the reasons of the charts that hear it."""
    turn = scopes.turn
    if not signal.to and turn.plan.is_awaited(signal.name):
        _keep(turn, signal)
        return ""
    minding = _addressed(scopes, signal, turn.plan.charts_minding)
    id = minding[0] if minding else _innermost(scopes, signal)
    if id is None:
        return f"nothing in this execution listens to `{signal.name}` now"
    chart = scopes[id]
    assert isinstance(chart, ChartScope)
    policy = chart.chart.on_unhandled_event
    reason = refusals.get(id) or interpreter.no_transition(chart, signal.name)
    step = Macrostep(chart.path, signal.name, turn.now, configuration=chart.leaves, reason=reason)
    turn.macrosteps.append(step)
    if policy == "defer":
        chart.machine.deferred.append(signal)
        del chart.machine.deferred[:-DEFERRED_MAX]
        chart.refused = len(chart.machine.deferred)
        return ""
    if policy == "fail":
        message = f"the event `{signal.name}` was not handled: {reason}"
        chart_ended(chart, Ended(error=ErrorDocument.of("execution_error", message, chart.path)))
        return ""
    return reason
