"""Suspending an execution, and resuming it: what is put aside, what stands still, and who is told.

A person suspends it, or a failure that an error handler escalates. Then what is asked of the node that failed ends the
suspension, too, and says what becomes of the failure; if it is only resumed, that takes its course.
"""

from __future__ import annotations

from workflow_runtime.engine import pending, settling
from workflow_runtime.engine.awaited import PendingKind, Purpose
from workflow_runtime.engine.commands import ControlChild, OrderAgain, SetStatus
from workflow_runtime.engine.events import ResumeRequested, SuspendRequested
from workflow_runtime.engine.graph import outcome
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.suspension import Escalation, Suspension
from workflow_runtime.engine.values.evaluation import error_value

NO_TIMEOUT = -1


def accept_suspend(scopes: Scopes, request: SuspendRequested) -> str:
    """Stand still until the execution is resumed."""
    unstarted = scopes.turn.status_before is ExecutionStatus.PENDING
    _suspend(scopes, request.event_id, request.by, request.reason, unstarted=unstarted)
    return ""


def suspend_escalated(scopes: Scopes, escalated: Escalation) -> None:
    """Stand still until somebody says what becomes of the failure, and tell that it did: that was asked for, whatever
    events the workflow publishes otherwise."""
    turn = scopes.turn
    error = error_value(escalated.error)
    details = {"status": ExecutionStatus.SUSPENDED.value, "started_at": turn.state.started_at}
    turn.publish("execution.escalated", **details, node=escalated.path, error=error)
    reason = f"the node `{escalated.path}` failed with {escalated.error.type}, and a person decides what follows"
    _suspend(scopes, f"escalated:{turn.state.version}", reason=reason)


def _suspend(scopes: Scopes, id: str, by: str = "", reason: str = "", *, unstarted: bool = False) -> None:
    """From now on nothing is decided, and so are the children that are awaited. Results of what runs are taken; what
    else comes is held (`holding`). The execution's timeout stands still, every other timer goes on.

    ``id``: of the event that brought it about.
    """
    turn, state = scopes.turn, scopes.turn.state
    state.suspension = Suspension(id, turn.next_number(), turn.now, by, reason, unstarted, _stop_timeout(scopes))
    _set_status(scopes, ExecutionStatus.SUSPENDED, "execution.suspended")
    tell_children(scopes, "suspend", reason, state.suspension.number)


def accept_resume(scopes: Scopes, request: ResumeRequested) -> str:
    """Go on. Raises `ValuesMissing`."""
    suspension = scopes.turn.state.suspension
    assert suspension is not None, "a suspended execution knows why"
    if request.suspension not in ("", suspension.id):
        return "another request suspended the execution"
    escalated = go_on(scopes, request.reason)
    if escalated is not None:
        scope, node = node_at(scopes, escalated.path)
        outcome.fail_for_good(scope, node, escalated.error)
    return ""


def go_on(scopes: Scopes, reason: str) -> Escalation | None:
    """Go on, with what was left to do, then with what is held. Returns the failure that suspended the execution, if one
    did: something must become of it now. Raises `ValuesMissing`."""
    turn, state = scopes.turn, scopes.turn.state
    suspension, escalated = state.suspension, state.escalated
    assert suspension is not None, "a suspended execution knows why"
    state.suspension = state.escalated = None
    if suspension.unstarted:
        settling.begin(scopes, turn.now)
        return None
    if any(node.max_wait_seconds is not None for block in turn.plan.blocks for node in block.nodes):
        state.suspended_ms += max(turn.now - suspension.at, 0)  # else nobody asks
    _set_status(scopes, ExecutionStatus.RUNNING, "execution.resumed")
    if suspension.timeout_left != NO_TIMEOUT:
        pending.start_timer(scopes.root, -1, Purpose.DEADLINE, turn.now + suspension.timeout_left)
    tell_children(scopes, "resume", reason, suspension.number)
    for id in list(state.scopes):
        scope = scopes[id]
        if isinstance(scope, GraphScope):
            scope.take_up()
        scopes.mark(scope)
    if state.in_flight or state.collecting:
        turn.commands.append(OrderAgain())
    return escalated


def node_at(scopes: Scopes, path: str) -> tuple[GraphScope, int]:
    """A node of a graph at work."""
    place = scopes.turn.plan.locate(path)
    assert place is not None, "only paths of the plan are asked for"
    scope = scopes[place.scope]
    assert isinstance(scope, GraphScope)
    return scope, place.node


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
    turn.commands.append(SetStatus(status, turn.now, suspended_ms=turn.state.suspended_ms))
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
