"""A preview: what an execution's charts and waits are in now, what they would listen to, and which timers run.

Nothing here decides: guards are evaluated as if an event without data came now, and where that cannot be said, nothing
is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from workflow_runtime.engine import settling
from workflow_runtime.engine.arrivals import innermost_first
from workflow_runtime.engine.awaited import PendingKind, Purpose
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.chart.scxml import leaves
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Turn, ValuesMissing
from workflow_runtime.engine.values.visibility import charts_seen
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.events import is_runtime_event
from workflow_runtime.plan.formulas import BindingKind, Formula
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import WaitSpec
from workflow_runtime.plan.states import TransitionPlan


class ActiveChart(msgspec.Struct, frozen=True):
    """A chart as it is. ``path``: of the node that holds it, ``""`` at the top; ``states``: the active leaves."""

    path: str
    states: tuple[str, ...]
    variables: dict[str, Json]


class Prospect(msgspec.Struct, frozen=True):
    """An event that is listened to, by a transition of the state ``source`` of the chart at ``machine``, or by the wait
    at the path ``source`` (``machine`` None).

    ``enabled``: whether its ``condition`` holds now; None when only the event can tell; ``why`` it does not or cannot.
    """

    event: str
    machine: str | None
    source: str
    targets: tuple[str, ...] = ()
    condition: str | None = None
    enabled: bool | None = True
    why: str = ""


class RunningTimer(msgspec.Struct, frozen=True):
    """What happens at ``due`` (epoch ms) if nothing comes before: ``kind`` delay (of the state ``source``), send (of
    the event ``source``), wait or timeout (of the wait at the path ``source``), retry (of the node ``source``),
    deadline (of the execution), stop (until when runs that were told to stop are awaited). ``every``: seconds until a
    delay is due again, or how they are computed; None for what comes once."""

    due: int
    kind: str
    source: str
    machine: str | None = None
    every: float | Formula | None = None


class Preview(msgspec.Struct, frozen=True):
    """``needs_globals``: some guards read input, variables or env, which were not given: ask again with them."""

    charts: tuple[ActiveChart, ...] = ()
    prospects: tuple[Prospect, ...] = ()
    timers: tuple[RunningTimer, ...] = ()
    needs_globals: bool = False


def preview(plan: Plan, state: ExecutionState, now: int, globals: dict[str, Json] | None = None) -> Preview:
    """What is ahead at ``now`` (epoch ms). ``globals`` as in `Known`. Of an execution that has ended, or is being
    compensated, its top chart."""
    state = current(plan, state)
    turn = Turn.on(plan, state, Known(globals=globals))
    turn.state.now = max(state.now, now)
    scopes = settling.scopes_of(turn)
    timers = tuple(sorted(_timers(scopes), key=lambda timer: timer.due))
    if state.status.terminal or state.status is ExecutionStatus.COMPENSATING:
        if TOP_CHART not in state.scopes:
            return Preview(timers=timers)
        top, chart = state.chart(), plan.charts[0]
        return Preview((ActiveChart("", _names(chart, leaves(chart, top.configuration)), top.variables),), (), timers)
    charts = [
        scope
        for id in innermost_first(scopes, scopes.turn.plan.chart_addresses)
        if isinstance(scope := scopes[id], ChartScope)
    ]
    return Preview(
        tuple(ActiveChart(scope.path, scope.leaves, scope.machine.variables)
              for scope in sorted(charts, key=lambda scope: scope.depth)),
        (*_of_waits(scopes), *(prospect for scope in charts for prospect in _of(scope))),
        timers,
        turn.missing is not None and turn.missing.globals,
    )  # fmt: skip


def _of(scope: ChartScope) -> Iterator[Prospect]:
    """What the active states of a chart listen to, inner states first."""
    chart = scope.chart
    active = leaves(chart, scope.machine.configuration)
    heard = {id(taken): taken for leaf in active for taken in chart.tree.candidates[leaf]}
    for transition in heard.values():
        events = [event for event in transition.events if not is_runtime_event(event)]
        enabled, why = _judged(scope, transition) if events else (None, "")
        for event in events:
            yield Prospect(
                event,
                scope.path,
                chart.states[transition.source].name,
                _names(chart, transition.targets),
                str(transition.guard.source) if transition.guard is not None else None,
                enabled,
                why,
            )


def _judged(scope: ChartScope, transition: TransitionPlan) -> tuple[bool | None, str]:
    guard = transition.guard
    if guard is None:
        return True, ""
    try:
        asked = _of_the_event(scope, guard)
        if asked:
            return None, f"it depends on the event's data: {', '.join(asked)}"
        holds = bool(scope.evaluate(guard))
    except ValuesMissing:
        return None, "it depends on what nodes yielded"
    except EvaluationError as error:
        return None, f"it cannot be evaluated now: {error}"
    return holds, "" if holds else f"`{guard.source}` is false"


def _of_the_event(scope: ChartScope, guard: Formula) -> list[str]:
    """Names in a guard that only an event's data can give a value. Raises `ValuesMissing`."""
    turn = scope.turn
    seen = charts_seen(turn.plan, scope.around(), (guard,))
    known: set[str] = set(seen.names)
    if seen.lacks:
        outside = turn.need_globals()
        for part in (outside["variables"], outside["input"]):
            known |= part.keys() if isinstance(part, dict) else set()
    return [
        binding.name
        for binding in guard.bindings
        if binding.kind is BindingKind.EVENT or (binding.kind is BindingKind.SCOPED and binding.name not in known)
    ]


def _of_waits(scopes: Scopes) -> Iterator[Prospect]:
    entries = scopes.turn.state.pending.values()
    waiting = [entry for entry in entries if entry.kind is PendingKind.EVENT and entry.purpose is Purpose.WAIT]
    places = {id: place for place, id in enumerate(scopes.turn.state.scopes)}
    for entry in sorted(waiting, key=lambda entry: (places[entry.scope], entry.owner)):
        graph = scopes[entry.scope]
        assert isinstance(graph, GraphScope)
        spec = graph.block.nodes[entry.owner].spec
        assert isinstance(spec, WaitSpec)
        condition = str(spec.match.source) if spec.match is not None else None
        enabled, why = (True, "") if condition is None else (None, "it depends on the event")
        yield Prospect(entry.name, None, graph.path(entry.owner), (), condition, enabled, why)


def _timers(scopes: Scopes) -> Iterator[RunningTimer]:
    for entry in scopes.turn.state.pending.values():
        if entry.kind is not PendingKind.TIMER:
            continue
        scope, kind = scopes[entry.scope], entry.purpose.value
        if entry.purpose in (Purpose.DEADLINE, Purpose.STOP):
            yield RunningTimer(entry.due, kind, "")
        elif isinstance(scope, GraphScope):
            yield RunningTimer(entry.due, kind, scope.path(entry.owner))
        elif isinstance(scope, LoopScope):
            yield RunningTimer(entry.due, kind, scope.pass_id(entry.owner))
        elif isinstance(scope, ChartScope) and entry.sent is not None:
            yield RunningTimer(entry.due, kind, entry.sent.name, scope.path)
        elif isinstance(scope, ChartScope):
            plan = scope.chart.states[entry.owner]
            yield RunningTimer(entry.due, kind, plan.name, scope.path, plan.delays[entry.number].every)


def _names(chart: ChartPlan, states: Iterable[int]) -> tuple[str, ...]:
    return tuple(chart.states[state].name for state in states)
