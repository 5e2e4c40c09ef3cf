"""What people and other systems say to a node that has asked them: approvals, and task tokens.

Each function returns why it had no effect, or ``""``; each raises `ValuesMissing`.
"""

from __future__ import annotations

from workflow_runtime.engine import applied, pending
from workflow_runtime.engine.events import ApprovalAnswered, ApprovalDelegated, TaskCompleted, TaskFailed
from workflow_runtime.engine.graph import agents, approvals, callbacks
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.scopes import Scopes


def accept_task(scopes: Scopes, event: TaskCompleted | TaskFailed) -> str:
    """Somebody has completed or failed a task token; taken once."""
    if applied.is_known(scopes.turn, event.event_id):
        return applied.TAKEN
    return take_task(scopes, event)


def take_task(scopes: Scopes, event: TaskCompleted | TaskFailed) -> str:
    """The same of one that was not taken before, or that was held."""
    place = scopes.turn.plan.locate(event.path)
    scope = scopes.get(place.scope) if place is not None else None
    if place is None or not isinstance(scope, GraphScope):
        return "the node has ended"
    if event.call:
        reason = agents.cannot_take(scope.graph, place.node, event.serial)
        reason = reason or agents.take_task(scope, place.node, event)
    else:
        reason = callbacks.cannot_take(scope.graph, place.node, event.serial, lost=event.lost)
    if reason:
        return reason
    applied.remember(scopes.turn, event.event_id)
    if not event.call:
        callbacks.take(scope, place.node, event)
    return ""


def accept_approval(scopes: Scopes, event: ApprovalAnswered | ApprovalDelegated) -> str:
    """Someone has answered an approval, or delegated it; taken once."""
    if applied.is_known(scopes.turn, event.event_id):
        return applied.TAKEN
    return take_approval(scopes, event)


def take_approval(scopes: Scopes, event: ApprovalAnswered | ApprovalDelegated) -> str:
    """The same of one that was not taken before, or that was held."""
    entry = scopes.turn.state.pending.get(pending.approval_entry(event.approval))
    if entry is None:
        return "the approval was decided, or is not needed any more"
    scope = scopes[entry.scope]
    assert isinstance(scope, GraphScope)
    if isinstance(event, ApprovalDelegated):
        reason = approvals.delegate(scope, entry.owner, event)
    else:
        said = approvals.answer(scope, entry.owner, event)
        if isinstance(said, approvals.Decided):
            agents.decided(scope, entry.owner, said)
        reason = said if isinstance(said, str) else ""
    if not reason:
        applied.remember(scopes.turn, event.event_id)
    return reason
