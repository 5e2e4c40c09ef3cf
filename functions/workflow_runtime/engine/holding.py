"""Events that come while an execution is suspended: held in order, and taken in that order when it was resumed.

The state knows only their numbers, from ``held_first`` up to ``held_next``; the events themselves are items of their
own. Numbers never restart. Until the last one is in, new ones are held behind them, so that nothing overtakes.
"""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine import applied
from workflow_runtime.engine.commands import HoldEvent
from workflow_runtime.engine.events import (
    ApprovalAnswered,
    ApprovalDelegated,
    ChildEnded,
    ChildStarted,
    Event,
    EventReturned,
    SignalReceived,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, SUSPENDED, ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import InvalidEvent

HELD_MAX = 10_000  # events from outside are refused beyond; nothing of the execution's own is
_FROM_OUTSIDE = (SignalReceived, ApprovalAnswered, ApprovalDelegated, TaskCompleted, TaskFailed)
RETURNED_TURN_MAX = 50  # taken in one commit


def must_wait(state: ExecutionState, event: Event) -> bool:
    """Whether an event is held: because of the status, or because others that are held come first."""
    if state.status is not SUSPENDED and state.held_next == state.held_first:
        return False
    if not (state.status is SUSPENDED or returns(state)):
        return False
    row = EXECUTION_ROWS.get((SUSPENDED, type(event)))
    return row is not None and row.holds


def returns(state: ExecutionState) -> bool:
    """Whether held events are to be taken now."""
    return state.held_next > state.held_first and state.status is ExecutionStatus.RUNNING


def hold(turn: Turn, event: Event) -> str:
    """Keep an event for later. Returns why not, if it is not needed. Raises `InvalidEvent` when there are too many."""
    state = turn.state
    if isinstance(event, (TimerFired, ChildEnded, ChildStarted)):
        id = event.timer if isinstance(event, TimerFired) else event.token
        entry = state.pending.get(id)
        if entry is None or entry.held:
            return "nobody waits for it any more" if entry is None else "it is held already"
        state.pending[id] = replace(entry, held=True)
    elif applied.is_known(turn, event.event_id):
        return applied.TAKEN
    elif isinstance(event, _FROM_OUTSIDE) and state.held >= HELD_MAX:
        raise InvalidEvent(f"the execution is suspended and holds {HELD_MAX:,} events already")
    else:
        applied.remember(turn, event.event_id)
    turn.commands.append(HoldEvent(state.held_next, event.event_id))
    state.held_next += 1
    return ""


def release(turn: Turn, event: EventReturned) -> str:
    """A held event is about to be taken. Returns why it is not."""
    state = turn.state
    if not state.held or event.number != state.held_first:
        return "this event was taken already"
    state.held_first += 1
    return event.refused


def forget(state: ExecutionState) -> None:
    """The execution ends: nothing that is held will be taken."""
    state.suspension = state.escalated = None
    state.held_first = state.held_next
