"""Under which keys an execution waits for events of the bus: its pending events that have one.

An event comes by a *route*, the trigger that asked for it: one of the workflow, or a wait's own. A wait's route is open
as soon as its key is known, and not only once the wait begins, so that an event which comes before is kept for it. What
changed in the pending events of a turn is what changes in the subscriptions; several may share one, which ends with the
last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache, partial
from typing import TypeAlias

from workflow_runtime.engine.awaited import Pending, PendingKind, Purpose
from workflow_runtime.engine.commands import Command, Subscribe, Unsubscribe
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ExecutionStatus, Mark
from workflow_runtime.engine.pending import event_id, note_listener
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.tables import keys_at
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import correlation_key, reads_null
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH
from workflow_runtime.plan.formulas import BindingKind, Formula
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.plan import CorrelatedWait, Plan

Subscription: TypeAlias = tuple[str, str, str]
"""An event, the key under which it is waited for, and the digest of the trigger that brings it."""
_MAY_BEGIN = frozenset({Mark.WAITING, Mark.QUEUED, Mark.RETRYING, Mark.ESCALATED})  # perhaps again, after a failure


def subscriptions(plan: Plan, pending: Mapping[str, Pending]) -> dict[Subscription, None]:
    """Those of the things waited for, once each, in order."""
    return dict.fromkeys(_keyed(plan, pending.values()))


def _keyed(plan: Plan, entries: Iterable[Pending]) -> Iterable[Subscription]:
    return (
        (entry.name, entry.key, plan.route_digests.get(entry.number, ""))
        for entry in entries
        if entry.kind is PendingKind.EVENT and entry.key is not None
    )


def subscribe(scopes: Scopes) -> ErrorDocument | None:
    """Order what changed in the subscriptions. The error of a key that can never be computed. Raises
    `ValuesMissing`."""
    turn = scopes.turn
    if turn.state.status is not ExecutionStatus.RUNNING:
        return None
    failed = open_routes(scopes)
    before = turn.listened_before
    if failed or (not before and not any(isinstance(command, Unsubscribe) for command in turn.commands)):
        return failed
    pending = turn.state.pending
    old = subscriptions(turn.plan, {id: entry for id, entry in before.items() if entry is not None})
    new = subscriptions(turn.plan, {id: pending[id] for id in before if id in pending})
    # Of each event once, as many waits may listen to the same.
    all_to, others_to = cache(partial(_to, turn)), cache(partial(_to, turn, apart_from=before))
    turn.commands[:] = [command for command in turn.commands if not _ends(command, all_to)]
    turn.commands += [Subscribe(*each) for each in new if each not in old and each not in others_to(each[0])]
    turn.commands += [Unsubscribe(*each) for each in old if each not in new and each not in others_to(each[0])]
    return None


def end(turn: Turn) -> None:
    """The execution is over: nothing is waited for."""
    turn.commands += [Unsubscribe(*found) for found in subscriptions(turn.plan, turn.pending_before)]


def listens(scopes: Scopes, signal: SignalReceived) -> bool:
    """Whether the execution waits for such an event now, under its key and by its route: what was ordered last may be
    older than this turn. One that an execution sent to all that wait came by no route. Raises `ValuesMissing`."""
    open_routes(scopes)
    return any(
        key == signal.key and (not signal.route or route in ("", signal.route))
        for _, key, route in _to(scopes.turn, signal.name)
    )


def _ends(command: Command, all_to: Callable[[str], Container[Subscription]]) -> bool:
    """Whether it unsubscribes, because of an event that came too early, from what is waited for by now."""
    return isinstance(command, Unsubscribe) and (command.event, command.key, command.route) in all_to(command.event)


def _to(turn: Turn, event: str, apart_from: Container[str] = ()) -> dict[Subscription, None]:
    """The subscriptions to an event of this name. The plan says which entries there may be, so that no other is looked
    at."""
    plan, pending = turn.plan, turn.state.pending
    ids = keys_at(pending, {event_id(path) for path in plan.waits_hearing(event)}, in_passes=plan.has_loops)
    ids += [_route_id(number) for number in plan.triggers_by_event.get(event, ())]
    ids += [_early_id(wait) for wait in plan.correlated_by_event.get(event, ())]
    entries = {id: pending[id] for id in ids if id in pending and id not in apart_from}
    return subscriptions(plan, {id: entry for id, entry in entries.items() if entry.name == event})


def open_routes(scopes: Scopes) -> ErrorDocument | None:
    """Bring the execution's side of its triggers up to date, as its variables may have changed and nodes ended.

    An execution that was at work when the turn began has them up to date as of then: only keys that depend on what has
    changed since are computed again. Returns the error of a trigger's key that fails although all that it reads is
    there; that of a wait fails the wait.
    """
    turn, plan = scopes.turn, scopes.turn.plan
    root = scopes.touched(TOP_GRAPH)
    moved = {root.block.first + node for node in root.moved} if isinstance(root, GraphScope) else set()
    everything = turn.status_at_start is not ExecutionStatus.RUNNING
    varying = everything or plan.keys_tell_time or scopes.touched(TOP_CHART) is not None
    failed: ErrorDocument | None = None
    for number, trigger in plan.keyed_triggers:
        id, key = _route_id(number), trigger.with_key
        assert key is not None
        entry = turn.state.pending.get(id)
        is_old = entry is not None and entry.number != number  # older code did not note by which trigger events come
        if everything or is_old or not moved.isdisjoint(key.nodes) or (varying and plan.varies(key)):
            found = _key(scopes, key, OUTPUTS)
            if isinstance(found, EvaluationError):
                message = f"the key of `{trigger.event}` (`with` of trigger {number + 1}): {found}"
                failed = failed or ErrorDocument.of("execution_error", message, "")
            _keep_open(scopes, id, number, trigger.event, _known(found))
    waits = [*(plan.correlated_waits if everything else plan.varying_waits if varying else ())]
    waits += [wait for number in moved for wait in plan.waits_keyed_by.get(number, ())]
    for id, wait in {_early_id(wait): wait for wait in waits}.items():
        _keep_open(scopes, id, wait.spec.correlated, wait.spec.event, _known(_early_key(scopes, wait)))
    return failed


def _known(key: str | EvaluationError | None) -> str | None:
    return None if isinstance(key, EvaluationError) else key


def _keep_open(scopes: Scopes, id: str, number: int, event: str, key: str | None) -> None:
    pending = scopes.turn.state.pending
    entry = None if key is None else Pending(PendingKind.EVENT, Purpose.TRIGGER, name=event, key=key, number=number)
    if pending.get(id) == entry:
        return
    note_listener(scopes.turn, id)
    if entry is None:
        del pending[id]
    else:
        pending[id] = entry


def _route_id(number: int) -> str:
    return f"trigger:{number}"


def _early_id(wait: CorrelatedWait) -> str:
    return f"early:{wait.block}.{wait.node}"


def _early_key(scopes: Scopes, wait: CorrelatedWait) -> str | EvaluationError | None:
    """The key of a wait that may still begin; None while something that it names has not ended.

    Of a wait in the graph at the top, that is known node by node. One further inside may begin again and again, and
    nodes that it names may be of a visit to come: it has a key beforehand only if it names none.
    """
    formula, root = wait.spec.key, scopes.root
    assert isinstance(root, GraphScope)
    assert formula is not None
    if wait.block:
        later = formula.nodes or not formula.kinds.isdisjoint({BindingKind.PREVIOUS, BindingKind.LOOP})
        return None if later else _key(scopes, formula, OUTPUTS)
    if root.graph.marks[wait.node] not in _MAY_BEGIN or BindingKind.PREVIOUS in formula.kinds:
        return None
    if any(root.is_open(number - root.block.first) for number in formula.nodes):
        return None
    return _key(scopes, formula, wait.node)


def _key(scopes: Scopes, formula: Formula, node: int) -> str | EvaluationError | None:
    """The execution's side of a correlation; none while something that it reads is null; the error of one that cannot
    be computed."""
    root = scopes.root
    assert isinstance(root, GraphScope)
    try:
        return correlation_key(root.evaluate(formula, node))
    except EvaluationError as error:
        return None if reads_null(formula, root.view((formula,), node)) else error
