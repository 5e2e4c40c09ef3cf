"""Suspending an execution, and resuming it (language §7): what is put aside, what stands still, and who is told."""

from __future__ import annotations

from workflow_runtime.engine import applied, pending, settling
from workflow_runtime.engine.applied import REQUEST_TAKEN
from workflow_runtime.engine.awaited import PendingKind, Purpose
from workflow_runtime.engine.commands import ControlChild, OrderAgain, SetStatus
from workflow_runtime.engine.events import ResumeRequested, SuspendRequested
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import Suspension

NO_TIMEOUT = -1


def accept_suspend(scopes: Scopes, request: SuspendRequested) -> str:
    """Stand still until somebody resumes it."""
    if applied.is_known(scopes.turn, request.event_id):
        return REQUEST_TAKEN
    applied.remember(scopes.turn, request.event_id)
    suspend(scopes, request.event_id, request.by, request.reason)
    return ""


def suspend(scopes: Scopes, id: str, by: str = "", reason: str = "") -> None:
    """From now on nothing is decided, and so are the children that are awaited. Results of what runs are taken; what
    else comes is held (`holding`). The execution's timeout stands still, every other timer goes on.

    ``id``: of the event that brought it about.
    """
    turn, state = scopes.turn, scopes.turn.state
    unstarted = turn.status_before is ExecutionStatus.PENDING
    state.suspension = Suspension(id, turn.next_number(), turn.now, by, reason, unstarted, _stop_timeout(scopes))
    _set_status(scopes, ExecutionStatus.SUSPENDED, "execution.suspended")
    tell_children(scopes, "suspend", reason, state.suspension.number)


def accept_resume(scopes: Scopes, request: ResumeRequested) -> str:
    """Go on, with what was left to do, then with what is held. Raises `ValuesMissing`."""
    turn, state = scopes.turn, scopes.turn.state
    suspension = state.suspension
    assert suspension is not None, "a suspended execution knows why"
    if applied.is_known(turn, request.event_id):
        return REQUEST_TAKEN
    if request.suspension not in ("", suspension.id):
        return "another request suspended the execution"
    applied.remember(turn, request.event_id)
    state.suspension = None
    if suspension.unstarted:
        settling.begin(scopes, turn.now)
        return ""
    _set_status(scopes, ExecutionStatus.RUNNING, "execution.resumed")
    if suspension.timeout_left != NO_TIMEOUT:
        pending.start_timer(scopes.root, -1, Purpose.DEADLINE, turn.now + suspension.timeout_left)
    tell_children(scopes, "resume", request.reason, suspension.number)
    for id in list(state.scopes):
        scope = scopes[id]
        if isinstance(scope, GraphScope):
            scope.take_up()
        scopes.mark(scope)
    if state.in_flight or state.collecting:
        turn.commands.append(OrderAgain())
    return ""


def _stop_timeout(scopes: Scopes) -> int:
    """How much of the execution's timeout is left (ms)."""
    for id, entry in pending.owned(scopes.root, -1):
        if entry.purpose is Purpose.DEADLINE:
            pending.drop(scopes.root, -1, id)
            return max(entry.due - scopes.turn.now, 0)
    return NO_TIMEOUT


def _set_status(scopes: Scopes, status: ExecutionStatus, event: str) -> None:
    turn = scopes.turn
    turn.state.status = status
    turn.commands.append(SetStatus(status, turn.now))
    if "execution" in turn.plan.events:
        turn.publish(event, status=status.value, started_at=turn.state.started_at)


def tell_children(scopes: Scopes, operation: str, reason: str, suspension: int = 0, *, of_nodes: bool = True) -> None:
    """Pass a request on to the executions whose end is awaited: by charts and, with ``of_nodes``, by nodes."""
    awaited = (Purpose.RESULT, Purpose.WAIT) if of_nodes else (Purpose.RESULT,)
    for token, entry in scopes.turn.state.pending.items():
        if entry.kind is not PendingKind.CHILD or entry.purpose not in awaited:
            continue
        if entry.workflow:  # stored by an older deployment: it is not known
            order = entry.order or token
            scopes.turn.commands.append(ControlChild(order, entry.workflow, operation, reason, suspension))
