"""Everything that an execution waits for: one table, by id; whoever waits knows the ids of what is his.

An entry ends in one of two ways: it is `taken`, because what was waited for has come, or dropped, because nobody waits
for it any more. A timer's id is never used again; that of an event is made of whose it is. What changed in the events
that are waited for under a key is what changes in the subscriptions (`subscriptions`).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.awaited import Approval, Pending, PendingKind, Purpose, Sent
from workflow_runtime.engine.commands import CancelTimer, StartTimer, UpdateApproval
from workflow_runtime.engine.scopes import Scope
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


Resolution: TypeAlias = Pending | Arrived | Ended
"""What becomes of something that a node waits for; a `Pending` timer has fired."""


def start_timer(
    scope: Scope, owner: int, purpose: Purpose, due: int, *, number: int = -1, sent: Sent | None = None
) -> None:
    """Wait until ``due`` (epoch ms)."""
    timer = f"t{scope.turn.next_number()}"
    _open(scope, timer, Pending(PendingKind.TIMER, purpose, scope.id, owner, due, number=number, sent=sent))
    scope.turn.commands.append(StartTimer(timer, due))


def listen(scope: Scope, node: int, path: str, event: str, key: str | None, route: int) -> None:
    """Have the wait ``node`` wait for an event, from the bus under ``key`` by the trigger of this number (-1: none)."""
    entry = Pending(PendingKind.EVENT, Purpose.WAIT, scope.id, node, name=event, key=key, number=route)
    _open(scope, f"event:{path}", entry)


def await_child(scope: Scope, token: str, event: str, workflow_id: str) -> None:
    """Wait for the end of the execution that is started under this token; it becomes this event."""
    _open(scope, token, Pending(PendingKind.CHILD, Purpose.RESULT, scope.id, name=event, workflow=workflow_id))


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


def approval_entry(number: int) -> str:
    """The id of an approval in the table."""
    return f"a{number}"


def _open(scope: Scope, id: str, entry: Pending) -> None:
    scope.turn.state.pending[id] = entry
    scope.pending[entry.owner] = (*scope.pending.get(entry.owner, ()), id)


def take(turn: Turn, id: str) -> Pending | None:
    """What was waited for has come: the entry, whose owner must still be told. None if nobody waits for it any more."""
    return turn.state.pending.pop(id, None)


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
    """Nobody waits for this any more. A timer that fires all the same has no effect."""
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
    for id in list(turn.state.pending):
        _dropped(turn, id)


def _dropped(turn: Turn, id: str) -> None:
    entry = turn.state.pending.pop(id)
    if entry.kind is PendingKind.TIMER:
        turn.commands.append(CancelTimer(id, entry.due))
    if (asked := entry.approval) is not None:
        turn.commands.append(UpdateApproval(asked.number, turn.now, outcome="cancelled"))


def first_due(turn: Turn, timer: str) -> str:
    """Of a timer and those that should have fired before it, the one whose turn it is. Ids count up: t1, t2 …"""
    pending = turn.state.pending
    if turn.state.status.terminal or timer not in pending:
        return timer
    due = pending[timer].due
    earlier = [id for id, entry in pending.items() if entry.due <= due and entry.kind is PendingKind.TIMER]
    return min(earlier, key=lambda id: (pending[id].due, int(id[1:])))
