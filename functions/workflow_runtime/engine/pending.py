"""Everything that an execution waits for: one table, by id; each waiting node or state knows its own ids.

An entry ends in one of two ways: it is `taken`, because what was waited for has come, or dropped, because nothing waits
for it any more; an execution that a node has started is told to end then. A timer's id is never used again; that of an
event is made of whose it is. What changed in the events that are waited for under a key is what changes in the
subscriptions (`subscriptions`).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.alarms import Alarms
from workflow_runtime.engine.awaited import Approval, Callback, Child, Pending, PendingKind, Purpose, Sent
from workflow_runtime.engine.commands import CancelTimer, CloseTask, ControlChild, StartTimer, UpdateApproval
from workflow_runtime.engine.events import ChildEnded, ChildStarted
from workflow_runtime.engine.scopes import Scope
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.tables import add, entered
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json


class Arrived(msgspec.Struct, frozen=True):
    """An event that a node waits for has come, with this data."""

    data: Json


class Ended(msgspec.Struct, frozen=True):
    """The scope inside a node has ended: with an output, or an error."""

    output: Json = None
    error: ErrorDocument | None = None


Resolution: TypeAlias = Pending | Arrived | Ended | ChildEnded | ChildStarted
"""What becomes of something that a node waits for; a `Pending` timer has fired."""


def start_timer(
    scope: Scope,
    owner: int,
    purpose: Purpose,
    due: int,
    *,
    number: int = -1,
    sent: Sent | None = None,
    name: str = "",
) -> None:
    """Wait until ``due`` (epoch ms). ``name``: of a heartbeat's, the hash of the task token; else of an agent's, the
    call that waits."""
    timer = f"t{scope.turn.next_number()}"
    entry = Pending(PendingKind.TIMER, purpose, scope.id, owner, due, name, number=number, sent=sent)
    _set_alarm(scope.turn, timer, entry)
    add(scope.turn.state.pending, timer, entry)
    _own(scope, timer, entry)
    scope.turn.commands.append(StartTimer(timer, due))


def listen(scope: Scope, node: int, path: str, event: str, key: str | None, route: int) -> None:
    """Have the wait ``node`` wait for an event, from the bus under ``key`` by the trigger of this number (-1: none)."""
    entry = Pending(PendingKind.EVENT, Purpose.WAIT, scope.id, node, name=event, key=key, number=route)
    note_listener(scope.turn, event_id(path))
    _open(scope, event_id(path), entry)


def event_id(path: str) -> str:
    """The id of the event that the wait at this path waits for."""
    return f"event:{path}"


def await_child(scope: Scope, token: str, event: str, workflow_id: str) -> None:
    """Wait for the end of the execution that is started under this token; it becomes this event."""
    _open(scope, token, Pending(PendingKind.CHILD, Purpose.RESULT, scope.id, name=event, workflow=workflow_id))


def await_own_child(scope: Scope, node: int, token: str, purpose: Purpose, child: Child) -> None:
    """Have a node wait for the end of an execution (`Purpose.WAIT`), or that it is started (`Purpose.START`)."""
    order = child.order if child.order != token else ""
    entry = Pending(PendingKind.CHILD, purpose, scope.id, node, workflow=child.workflow_id, order=order)
    _open(scope, token, entry)


def ask(scope: Scope, node: int, approval: Approval) -> None:
    """Have the approval ``node`` wait for what people say."""
    _open(
        scope,
        approval_entry(approval.number),
        Pending(PendingKind.TASK, Purpose.APPROVAL, scope.id, node, approval=approval),
    )


def change_approval(scope: Scope, approval: Approval) -> None:
    """It goes on, with other people or more answers."""
    id = approval_entry(approval.number)
    scope.turn.state.pending[id] = replace(scope.turn.state.pending[id], approval=approval)


def decided(scope: Scope, node: int, approval: Approval) -> None:
    """The approval ``node`` waits for nothing any more."""
    id = approval_entry(approval.number)
    del scope.turn.state.pending[id]
    taken(scope, node, id)
    drop_owned(scope, node)


def decided_call(scope: Scope, node: int, approval: Approval) -> None:
    """A call of the agent ``node`` waits for people no more; others may."""
    id = approval_entry(approval.number)
    del scope.turn.state.pending[id]
    taken(scope, node, id)
    for timer, entry in owned(scope, node):
        if entry.purpose in (Purpose.TIMEOUT, Purpose.ESCALATION) and entry.name == approval.call:
            drop(scope, node, timer)


def await_task(scope: Scope, node: int, path: str, callback: Callback) -> None:
    """Have a node wait for its task token to be completed."""
    entry = Pending(PendingKind.TASK, Purpose.CALLBACK, scope.id, node, callback=callback)
    _open(scope, f"task:{path}", entry)


def await_call(scope: Scope, node: int, callback: Callback, call: str) -> str:
    """Have a call of an agent wait for its task token to be completed; the id of that in the table."""
    id = f"task:{callback.task}"
    _open(scope, id, Pending(PendingKind.TASK, Purpose.CALLBACK, scope.id, node, name=call, callback=callback))
    return id


def approval_entry(number: int) -> str:
    """The id of an approval in the table."""
    return f"a{number}"


def _open(scope: Scope, id: str, entry: Pending) -> None:
    scope.turn.state.pending[id] = entry
    _own(scope, id, entry)


def _own(scope: Scope, id: str, entry: Pending) -> None:
    scope.pending[entry.owner] = (*scope.pending.get(entry.owner, ()), id)


def take(turn: Turn, id: str) -> Pending | None:
    """What was waited for has come: the entry, whose owner must still be told. None if nobody waits for it any more."""
    entry = turn.state.pending.get(id)
    if entry is not None:
        _remove(turn, id, entry)
    return entry


def taken(scope: Scope, owner: int, id: str) -> None:
    """The owner has been told of an entry that was `take`n."""
    others = tuple(other for other in scope.pending[owner] if other != id)
    if others:
        scope.pending[owner] = others
    else:
        del scope.pending[owner]


def owned(scope: Scope, owner: int) -> list[tuple[str, Pending]]:
    """What a node or state waits for, in the order it began."""
    return [(id, scope.turn.state.pending[id]) for id in scope.pending.get(owner, ())]


def drop(scope: Scope, owner: int, id: str) -> None:
    """Nobody waits for this any more. A timer that fires anyway has no effect."""
    taken(scope, owner, id)
    _dropped(scope.turn, id)


def drop_owned(scope: Scope, owner: int) -> None:
    """A node or state waits for nothing any more."""
    for id in scope.pending.pop(owner, ()):
        _dropped(scope.turn, id)


def drop_all(scope: Scope) -> None:
    """Nobody in the scope waits for anything any more. What its nodes or states waited for goes first."""
    for owner in sorted(scope.pending, key=lambda owner: owner < 0):
        drop_owned(scope, owner)


def drop_everything(turn: Turn) -> None:
    """The execution waits for nothing any more; what its scopes say of it no longer matters."""
    state = turn.state
    timers = [CancelTimer(id, entry.due) for id, entry in state.pending.items() if entry.kind is PendingKind.TIMER]
    turn.commands += timers
    for id, entry in state.pending.items():
        _tell_child(turn, id, entry)
    state.pending = {}
    if state.alarms:
        state.alarms = Alarms()


def _dropped(turn: Turn, id: str) -> None:
    entry = turn.state.pending[id]
    _remove(turn, id, entry)
    if entry.kind is PendingKind.TIMER:
        turn.commands.append(CancelTimer(id, entry.due))
    _tell_child(turn, id, entry)
    if (asked := entry.approval) is not None:
        turn.commands.append(UpdateApproval(asked.number, turn.now, outcome="cancelled"))
    if (callback := entry.callback) is not None:
        turn.commands.append(CloseTask(callback.task, turn.now, "the node has ended"))


def _tell_child(turn: Turn, id: str, entry: Pending) -> None:
    """No node waits for the execution that it has started any more: it is told to end."""
    if entry.kind is PendingKind.CHILD and entry.purpose is Purpose.WAIT:
        turn.commands.append(ControlChild(entry.order or id, entry.workflow, "cancel", turn.reason))


def _remove(turn: Turn, id: str, entry: Pending) -> None:
    if entry.kind is PendingKind.TIMER:
        turn.state.alarms = _alarms(turn.state).without(id)
    elif entry.kind is PendingKind.EVENT:
        note_listener(turn, id)
    del turn.state.pending[id]


def note_listener(turn: Turn, id: str) -> None:
    """An event is about to be waited for, otherwise or no more: what is known of it before the first change counts."""
    if id not in turn.listened_before:
        turn.listened_before = entered(turn.listened_before, id, turn.state.pending.get(id))


# ---- the order of timers


def first_due(turn: Turn, timer: str) -> str:
    """Of a timer and those that should have fired before it, the one whose turn it is."""
    state = turn.state
    if state.status.terminal or timer not in state.pending:
        return timer
    return _alarms(state).first


def _alarms(state: ExecutionState) -> Alarms:
    """The timers in the order in which they fire."""
    if state.alarms is None:
        timers = {id: entry for id, entry in state.pending.items() if entry.kind is PendingKind.TIMER}
        state.alarms = Alarms.of(sorted(timers, key=lambda id: _order(id, timers[id])))
    return state.alarms


def _set_alarm(turn: Turn, id: str, entry: Pending) -> None:
    state = turn.state
    state.alarms = _alarms(state).with_one(id, _order(id, entry), lambda other: _order(other, state.pending[other]))


def _order(id: str, entry: Pending) -> tuple[int, int, str]:
    """What sorts timers: those due at the same time in the order in which they were started. Ids count up: t1, t2 …"""
    return entry.due, len(id), id
