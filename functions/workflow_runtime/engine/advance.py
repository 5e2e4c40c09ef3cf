"""The one door: ``advance(plan, state, events) -> Decision``, a pure function.

It is total: any event in any state is taken, ignored with a reason, or refused as `InvalidEvent`; anything else is a
bug. It does nothing itself. What must happen is returned as commands, to be carried out once the new state is
committed; what it would have to read first is returned as `Needs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine import compensation, ending, holding, pending, settling
from workflow_runtime.engine.answers import accept_approval, accept_task, take_approval, take_task
from workflow_runtime.engine.arrivals import (
    accept_child,
    accept_result,
    accept_send_failure,
    accept_signal,
    accept_stop,
    accept_timer,
    accept_yield,
    take_signal,
)
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.commands import CloseTask, Command, Continue, ControlChild, UpdateApproval
from workflow_runtime.engine.events import (
    ApprovalAnswered,
    ApprovalDelegated,
    ChildEnded,
    ChildStarted,
    ControlEvent,
    Event,
    EventReturned,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    NodeYielded,
    Poked,
    ReopenRequested,
    RunStopped,
    SendFailed,
    SignalReceived,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.keeping import keep_values
from workflow_runtime.engine.lifecycle import AT_REST, EXECUTION_ROWS, SUSPENDED, ExecutionStatus
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.passes import LoopState
from workflow_runtime.engine.requests import accept_reopening, accept_request, reopen_for_parent
from workflow_runtime.engine.scope_states import ChartState, GraphState, ScopeState, initial_graph_state
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import STATE_SCHEMA, ExecutionState, Parent
from workflow_runtime.engine.subscriptions import subscribe
from workflow_runtime.engine.suspending import suspend_escalated
from workflow_runtime.engine.turn import (
    COMMANDS_MAX,
    Known,
    Needs,
    Turn,
    ValuesMissing,
)
from workflow_runtime.errors import ErrorDocument, InvalidEvent
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId
from workflow_runtime.plan.limiters import Share
from workflow_runtime.plan.plan import Plan

NOTHING_KNOWN = Known()

_GOING_ON = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.SUSPENDED})

_TELLING = (ControlChild, UpdateApproval, CloseTask)
"""Commands that tell others what they are not asked for any more."""

_OVERTAKEN = frozenset({TimerFired, EventReturned})
"""Events before which a timer may have to fire."""


class Decision(msgspec.Struct, frozen=True):
    """The next state (one version on) and what must be done. ``changed`` False: nothing happened, there is nothing to
    commit.

    - ``ignored``: ids of events without effect, each with the reason
    - ``macrosteps``: what charts did
    - ``applied``: identities of the events from outside that were taken, by which their repeats are recognised
    """

    state: ExecutionState
    commands: tuple[Command, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    changed: bool = True
    macrosteps: tuple[Macrostep, ...] = ()
    applied: tuple[str, ...] = ()


NO_SHARES: Mapping[str, Share] = {}


def new_execution(
    plan: Plan,
    execution_id: str,
    workflow_version: int,
    started_at: int,
    parent: Parent | None = None,
    hops: int = 0,
    tenant: str = "",
    shares: Mapping[str, Share] = NO_SHARES,
) -> ExecutionState:
    """The state before the first event."""
    part = parent.part if parent is not None else None
    scopes: dict[ScopeId, ScopeState] = {TOP_GRAPH: initial_graph_state(plan, 0)}
    if parent is not None and part is not None:
        parent = replace(parent, part=None)
        scopes = {address: scope.copy() for address, scope in part.scopes.items()}
    return ExecutionState(
        execution_id,
        plan.hash,
        workflow_version,
        {**scopes},
        STATE_SCHEMA,
        now=started_at,
        started_at=started_at,
        parent=parent,
        hops=hops,
        tenant=tenant,
        shares=dict(shares),
        part=part.loop if part is not None else "",
        open_passes=sum(scope.open_count for scope in scopes.values() if isinstance(scope, LoopState)),
    )


def advance(
    plan: Plan, state: ExecutionState, events: Sequence[Event], now: int, known: Known = NOTHING_KNOWN
) -> Decision | Needs:
    """Take ``events`` in order at time ``now`` (epoch ms; the engine's time never goes back).

    ``known``: values read because an earlier call with the same arguments returned `Needs`. ``state`` is not changed.
    Raises `InvalidEvent` if one of the events can never have been sent to this execution; then none of them was taken.
    """
    if state.schema != STATE_SCHEMA:  # looked at here, as the call would take longer than the look
        state = current(plan, state)
    turn = Turn.on(plan, state, known)
    after = turn.state
    after.version += 1
    if now > after.now:
        after.now = now
    if after.segments and len(events) > 1:
        successes = [event for event in events if isinstance(event, NodeSucceeded)]
        turn.reported = {(event.path, event.serial) for event in successes}
        turn.going_on = {(event.path, event.serial) for event in successes if event.goes_on}
    scopes = settling.scopes_of(turn)
    if after.withdrawn or after.unannounced:
        scopes.catch_up()
    ignored: list[tuple[str, str]] = []
    changed = False
    for event, is_held in _with_earlier_timers(turn, events):
        first = after.held_first
        try:
            reason = holding.hold(turn, event) if is_held else _take(scopes, event)
        except ValuesMissing:
            break
        if reason:
            ignored.append((event.event_id, reason))
            changed = changed or _is_told_of(turn, event) or after.held_first != first
        if not reason or turn.macrosteps:  # a guard that failed has raised an error
            settling.settle(scopes)  # after each one, so that it makes no difference how events were batched
            if after.goes_on and after.status.terminal:
                reopen_for_parent(scopes)
                settling.settle(scopes)
        if after.awaits_cancelled and after.status in _GOING_ON:
            compensation.spare(turn)
        if after.escalated is not None and after.suspension is None:
            suspend_escalated(scopes, after.escalated)
        changed = changed or bool(turn.commands or turn.macrosteps) or not (reason or isinstance(event, Poked))
        if turn.missing is not None:
            break
    else:
        if plan.triggers:
            changed = _subscribe(scopes) or changed
    if turn.missing is not None:
        return turn.needs()
    if after.backlog or len(turn.commands) > COMMANDS_MAX:
        turn.bound()
    changed = changed or bool(turn.commands)  # of the backlog
    if _must_go_on(turn):
        turn.commands.append(Continue())
    if after.status is SUSPENDED:
        _put_aside(scopes)
    keep_values(scopes)
    scopes.release()
    return Decision(after, tuple(turn.commands), tuple(ignored), changed, tuple(turn.macrosteps), tuple(turn.applied))


def _subscribe(scopes: Scopes) -> bool:
    """Order what changed in the subscriptions. True if that has ended the execution."""
    with suppress(ValuesMissing):
        failed = subscribe(scopes)
        if failed is not None:
            ending.fail(scopes, failed)
            settling.settle(scopes)
            return True
    return False


def _with_earlier_timers(turn: Turn, events: Sequence[Event]) -> Iterator[tuple[Event, bool]]:
    """The events, and whether each is to be held; before a timer that is not, those that were due before it, or at the
    same time and started before it: delivery may change their order, which must not decide what an
    execution does."""
    state = turn.state
    for event in events:
        if type(event) not in _OVERTAKEN:  # which is sooner told than whether it is an instance
            is_asked = state.status is SUSPENDED or state.held_next != state.held_first
            yield event, is_asked and holding.must_wait(state, event)
            continue
        held = holding.must_wait(turn.state, event)
        fired = event.held if isinstance(event, EventReturned) and holding.returns(turn.state) else event
        if isinstance(fired, TimerFired) and not held:
            while not turn.is_suspended and (timer := pending.first_due(turn, fired.timer)) != fired.timer:
                yield TimerFired(f"timer:{timer}", fired.at, timer), False
            held = holding.must_wait(turn.state, event)  # a failure may have suspended it
        yield event, held


def abort(plan: Plan, state: ExecutionState, error: ErrorDocument) -> Decision:
    """The decision to fail an execution at once, for a reason outside its plan; nothing of it runs any more. What it
    has done is undone, if that is wanted; one that is undoing it ends."""
    scopes = _broken_off(plan, state, error)
    settling.settle(scopes)
    lacks = scopes.turn.missing is not None
    if lacks:  # what its compensations read, which the next commit may ask for
        scopes = _broken_off(plan, state, error)
    turn = scopes.turn
    turn.bound()
    if lacks or _must_go_on(turn):
        turn.commands.append(Continue())
    return Decision(turn.state, tuple(turn.commands))


def _broken_off(plan: Plan, state: ExecutionState, error: ErrorDocument) -> Scopes:
    """The scopes of a turn in which the execution has failed, or has begun to undo what it has done."""
    turn = Turn.on(plan, current(plan, state), NOTHING_KNOWN)
    turn.breaks_off = True
    state = turn.state
    state.version += 1
    scopes = settling.scopes_of(turn)
    ending.close_all(scopes)
    is_undoing = state.status is ExecutionStatus.COMPENSATING
    if is_undoing:
        compensation.close_open(scopes)
    if is_undoing or not compensation.is_wanted(turn, compensation.FAILURE):
        # Workers run nothing of an execution that has ended, and timers find it so; all others must be told.
        turn.commands[:] = [command for command in turn.commands if isinstance(command, _TELLING)]
    root, chart = state.graph(), state.chart() if TOP_CHART in state.scopes else None
    state.scopes = {TOP_GRAPH: GraphState(root.marks, 0, root.block, root.first_serial, serials=root.serials)}
    if chart is not None:
        state.scopes[TOP_CHART] = ChartState(configuration=chart.configuration)
    state.in_flight = len(state.stopping)
    state.aborted, state.goes_on = True, False
    state.queued, state.crowded = {}, {}  # of scopes that are gone
    state.unannounced.clear()
    scopes = settling.scopes_of(turn)
    ending.break_off(scopes, error)
    return scopes


def _take(scopes: Scopes, event: Event) -> str:
    """Let one event work on the state. Returns the reason if it is ignored."""
    state = scopes.turn.state
    row = EXECUTION_ROWS.get((state.status, type(event)))
    if row is None:
        raise InvalidEvent(f"{type(event).__name__} cannot come while the execution is {state.status.value}")
    if row.status is None:
        return row.reason
    before = scopes.turn.status_before = state.status
    if row.status is not before:
        state.status = row.status
    if state.unprompted and not isinstance(event, Poked):
        state.unprompted = 0
    reason = _TAKERS[type(event)](scopes, event)
    if reason:
        state.status = before
    return reason


def _is_told_of(turn: Turn, event: Event) -> bool:
    """Whether the journal says why an event had no effect: who sent it from outside may ask."""
    asked = (SignalReceived, ControlEvent, ApprovalAnswered, ApprovalDelegated, TaskCompleted, TaskFailed)
    return isinstance(event, asked) and not turn.state.status.terminal


def _started(scopes: Scopes, event: ExecutionStarted) -> str:
    is_told_of_nodes = "node" in scopes.turn.plan.events  # as they begin and end, not when a segment is over
    scopes.turn.state.segments = event.segments and not is_told_of_nodes
    scopes.turn.state.awaits_cancelled = event.awaits_cancelled
    scopes.turn.state.takes_early = event.takes_early
    settling.begin(scopes, event.at)
    return ""


def _returned(scopes: Scopes, event: EventReturned) -> str:
    """Take an event that was held; one that can no longer have been sent has no effect."""
    reason = holding.release(scopes.turn, event)
    if reason:
        return reason
    held = event.held
    try:
        return _RETAKERS.get(type(held), _TAKERS[type(held)])(scopes, held)
    except InvalidEvent as error:
        return str(error)


def _poked(_: Scopes, __: Poked) -> str:
    return ""


_TAKERS: dict[type[Event], Callable[[Scopes, Any], str]] = {
    ExecutionStarted: _started,
    NodeSucceeded: accept_result,
    NodeFailed: accept_result,
    Poked: _poked,
    SignalReceived: accept_signal,
    TimerFired: accept_timer,
    ChildEnded: accept_child,
    ChildStarted: accept_child,
    ReopenRequested: accept_reopening,
    SendFailed: accept_send_failure,
    EventReturned: _returned,
    RunStopped: accept_stop,
    **dict.fromkeys(get_args(ControlEvent), accept_request),
    ApprovalAnswered: accept_approval,
    ApprovalDelegated: accept_approval,
    NodeYielded: accept_yield,
    TaskCompleted: accept_task,
    TaskFailed: accept_task,
}
_RETAKERS: dict[type[Event], Callable[[Scopes, Any], str]] = {
    SignalReceived: take_signal,
    ApprovalAnswered: take_approval,
    ApprovalDelegated: take_approval,
    TaskCompleted: take_task,
    TaskFailed: take_task,
}
"""Of events whose ids were noted when they were held."""


def _must_go_on(turn: Turn) -> bool:
    """Whether something could be done at once that this commit had no room for."""
    state = turn.state
    if state.status in AT_REST:
        return bool(state.withdrawn or state.unannounced or state.backlog)
    if state.outbox or (state.held_next > state.held_first and holding.returns(state)):
        return True
    if turn.has_room:
        return False
    if state.status is ExecutionStatus.COMPENSATING and compensation.goes_on(state):
        return True
    state.cut_short = bool(state.queued)
    return bool(state.withdrawn or state.unannounced or state.backlog or state.queued)


def _put_aside(scopes: Scopes) -> None:
    """What is left to do in scopes is known to this turn only; while the execution is suspended the state keeps it."""
    for scope in scopes.loaded.values():
        if isinstance(scope, GraphScope):
            scope.put_aside()
