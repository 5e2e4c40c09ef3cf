"""Under which keys an execution waits for events of the bus: its pending events that have one.

An event comes by a *route*, the trigger that asked for it: one of the workflow, or a wait's own. A wait's route is open
as soon as its key is known, and not only once the wait begins, so that an event which comes before is kept for it. What
changed in the pending events of a turn is what changes in the subscriptions; several may share one, which ends with the
last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from workflow_runtime.engine.awaited import Pending, PendingKind, Purpose
from workflow_runtime.engine.commands import Command, Subscribe, Unsubscribe
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ExecutionStatus, Mark
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import correlation_key
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan.formulas import BindingKind, Formula
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.plan import CorrelatedWait, Plan
from workflow_runtime.plan.triggers import EventTrigger

Subscription: TypeAlias = tuple[str, str, str]
"""An event, the key under which it is waited for, and the digest of the trigger that brings it."""


def subscriptions(plan: Plan, pending: Mapping[str, Pending]) -> dict[Subscription, None]:
    """Those of the things waited for, once each, in order."""
    return dict.fromkeys(_keyed(plan, pending.values()))


def _keyed(plan: Plan, entries: Iterable[Pending]) -> Iterable[Subscription]:
    return (
        (entry.name, entry.key, plan.route_digests.get(entry.number, ""))
        for entry in entries
        if entry.kind is PendingKind.EVENT and entry.key is not None
    )


def subscribe(scopes: Scopes) -> None:
    """Order what changed in the subscriptions. Raises `ValuesMissing`."""
    turn = scopes.turn
    if turn.state.status is not ExecutionStatus.RUNNING or not turn.plan.triggers:
        return
    _open_routes(scopes)
    before, after = turn.pending_before, turn.state.pending
    if before == after and not any(isinstance(command, Unsubscribe) for command in turn.commands):
        return
    old, new = subscriptions(turn.plan, before), subscriptions(turn.plan, after)
    turn.commands[:] = [command for command in turn.commands if not _ends(command, new)]
    turn.commands += [Subscribe(*found) for found in new if found not in old]
    turn.commands += [Unsubscribe(*found) for found in old if found not in new]


def end(turn: Turn) -> None:
    """The execution is over: nothing is waited for."""
    turn.commands += [Unsubscribe(*found) for found in subscriptions(turn.plan, turn.pending_before)]


def listens(scopes: Scopes, signal: SignalReceived) -> bool:
    """Whether the execution waits for such an event now, under its key and by its route: what was ordered last may be
    older than this turn. One that an execution sent to all that wait came by no route. Raises `ValuesMissing`."""
    _open_routes(scopes)
    wanted = subscriptions(scopes.turn.plan, scopes.turn.state.pending)
    return any(
        event == signal.name and key == signal.key and (not signal.route or route in ("", signal.route))
        for event, key, route in wanted
    )


def _ends(command: Command, wanted: Mapping[Subscription, None]) -> bool:
    """Whether it unsubscribes, because of an event that came too early, from what is waited for by now."""
    return isinstance(command, Unsubscribe) and (command.event, command.key, command.route) in wanted


def _open_routes(scopes: Scopes) -> None:
    """Bring the execution's side of its triggers up to date, as its variables may have changed and nodes ended."""
    plan = scopes.turn.plan
    for number, trigger in enumerate(plan.triggers):
        if isinstance(trigger, EventTrigger) and trigger.event and trigger.with_key is not None:
            _keep_open(scopes, f"trigger:{number}", number, trigger.event, _key(scopes, trigger.with_key, OUTPUTS))
    for wait in plan.correlated_waits:
        _keep_open(scopes, _early_id(wait), wait.spec.correlated, wait.spec.event, _early_key(scopes, wait))


def _keep_open(scopes: Scopes, id: str, number: int, event: str, key: str | None) -> None:
    pending = scopes.turn.state.pending
    entry = None if key is None else Pending(PendingKind.EVENT, Purpose.TRIGGER, name=event, key=key, number=number)
    if entry is None:
        pending.pop(id, None)
    elif pending.get(id) != entry:
        pending[id] = entry


def _early_id(wait: CorrelatedWait) -> str:
    return f"early:{wait.block}.{wait.node}"


def _early_key(scopes: Scopes, wait: CorrelatedWait) -> str | None:
    """The key of a wait that may still begin; None while something that it names has not ended.

    Of a wait in the graph at the top, that is known node by node. One further inside may begin again and again, and
    nodes that it names may be of a visit to come: it has a key beforehand only if it names none.
    """
    formula, root = wait.spec.key, scopes.root
    assert isinstance(root, GraphScope)
    assert formula is not None
    if wait.block:
        return None if formula.nodes or BindingKind.PREVIOUS in formula.kinds else _key(scopes, formula, OUTPUTS)
    if root.graph.marks[wait.node] != Mark.WAITING or BindingKind.PREVIOUS in formula.kinds:
        return None
    if any(root.is_open(number - root.block.first) for number in formula.nodes):
        return None
    return _key(scopes, formula, wait.node)


def _key(scopes: Scopes, formula: Formula, node: int) -> str | None:
    """The execution's side of a correlation; none while it cannot be computed."""
    root = scopes.root
    assert isinstance(root, GraphScope)
    try:
        return correlation_key(root.evaluate(formula, node))
    except EvaluationError:
        return None
