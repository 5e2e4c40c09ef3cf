"""Under which keys an execution waits for events of the bus: its pending events that have one.

What changed in them in a turn is what changes in the subscriptions. Several may wait for one event under one key: that
is one subscription, and it ends with the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from workflow_runtime.engine.commands import Command, Subscribe, Unsubscribe
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import Pending, PendingKind, Purpose
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import correlation_key
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.triggers import EventTrigger

Subscription: TypeAlias = tuple[str, str]
"""An event, and the key under which it is waited for."""


def subscriptions(pending: Mapping[str, Pending]) -> dict[Subscription, None]:
    """Those of the things waited for, once each, in order."""
    return dict.fromkeys(_keyed(pending.values()))


def _keyed(entries: Iterable[Pending]) -> Iterable[Subscription]:
    return ((entry.name, entry.key) for entry in entries if entry.kind is PendingKind.EVENT and entry.key is not None)


def subscribe(scopes: Scopes) -> None:
    """Order what changed in the subscriptions. Raises `ValuesMissing`."""
    turn = scopes.turn
    if turn.state.status.terminal or not turn.plan.triggers:
        return
    _evaluate_triggers(scopes)
    before, after = turn.pending_before, turn.state.pending
    if before == after and not any(isinstance(command, Unsubscribe) for command in turn.commands):
        return
    old, new = subscriptions(before), subscriptions(after)
    turn.commands[:] = [command for command in turn.commands if not _ends(command, new)]
    turn.commands += [Subscribe(*found) for found in new if found not in old]
    turn.commands += [Unsubscribe(*found) for found in old if found not in new]


def end(turn: Turn) -> None:
    """The execution is over: nothing is waited for."""
    turn.commands += [Unsubscribe(*found) for found in subscriptions(turn.pending_before)]


def listens(scopes: Scopes, event: str, key: str) -> bool:
    """Whether the execution waits for this now: what it ordered last may be older than this turn. Raises
    `ValuesMissing`."""
    _evaluate_triggers(scopes)
    return (event, key) in subscriptions(scopes.turn.state.pending)


def _ends(command: Command, wanted: Mapping[Subscription, None]) -> bool:
    """Whether it unsubscribes, because of an event that came too early, from what is waited for by now."""
    return isinstance(command, Unsubscribe) and (command.event, command.key) in wanted


def _evaluate_triggers(scopes: Scopes) -> None:
    """Bring the execution's side of its triggers up to date, as its variables may have changed."""
    pending = scopes.turn.state.pending
    for number, trigger in enumerate(scopes.turn.plan.triggers):
        if not isinstance(trigger, EventTrigger) or not trigger.event or trigger.with_key is None:
            continue
        id = f"trigger:{number}"
        key = _key(scopes, trigger.with_key)
        known = pending.get(id)
        if key is None:
            pending.pop(id, None)
        elif known is None or known.key != key:
            pending[id] = Pending(PendingKind.EVENT, Purpose.TRIGGER, name=trigger.event, key=key)


def _key(scopes: Scopes, formula: Formula) -> str | None:
    """The execution's side of a trigger; none while it cannot be computed."""
    root = scopes.root
    assert isinstance(root, GraphScope)
    try:
        return correlation_key(root.evaluate(formula, OUTPUTS))
    except EvaluationError:
        return None
