"""What an execution's charts and waits are in now, what they would listen to, and which timers run: a look ahead.

Nothing here decides: guards are evaluated as if an event without data came now, and where that cannot be said, nothing
is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from workflow_runtime.engine import tree
from workflow_runtime.engine.machine_scope import MachineScope
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.sight import charts_seen
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.statechart import leaves
from workflow_runtime.engine.turn import Known, Turn, ValuesMissing
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
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
    the event ``source``), wait or timeout (of the wait at the path ``source``). ``every``: seconds until a delay is due
    again, or how they are computed; None for what comes once."""

    due: int
    kind: str
    source: str
    machine: str | None = None
    every: float | Formula | None = None


class Outlook(msgspec.Struct, frozen=True):
    """``needs_globals``: some guards read input, variables or env, which were not given: ask again with them."""

    charts: tuple[ActiveChart, ...] = ()
    prospects: tuple[Prospect, ...] = ()
    timers: tuple[RunningTimer, ...] = ()
    needs_globals: bool = False


def outlook(plan: Plan, state: ExecutionState, now: int, globals: dict[str, Json] | None = None) -> Outlook:
    """The outlook at ``now`` (epoch ms). ``globals`` as in `Known`. An execution that has ended keeps its top chart."""
    if state.status.terminal:
        top = state.machine
        if not plan.has_chart or top is None:
            return Outlook()
        return Outlook(
            (ActiveChart("", _names(plan.charts[0], leaves(plan.charts[0], top.configuration)), top.variables),)
        )
    turn = Turn(plan, state.copy(), Known(globals=globals))
    turn.state.now = max(state.now, now)
    tree.load(turn)
    charts = sorted(turn.machines.values(), key=lambda scope: scope.depth)
    return Outlook(
        tuple(ActiveChart(scope.path, scope.leaves, scope.machine.variables) for scope in charts),
        (*_of_waits(turn.graphs.values()), *(prospect for scope in turn.innermost_first() for prospect in _of(scope))),
        tuple(sorted(_timers(turn), key=lambda timer: timer.due)),
        turn.needs_globals,
    )


def _of(scope: MachineScope) -> Iterator[Prospect]:
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


def _judged(scope: MachineScope, transition: TransitionPlan) -> tuple[bool | None, str]:
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


def _of_the_event(scope: MachineScope, guard: Formula) -> list[str]:
    """Names in a guard that only an event's data can give a value. Raises `ValuesMissing`."""
    turn = scope.turn
    seen = charts_seen(turn, scope, (guard,))
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


def _of_waits(graphs: Iterable[GraphScope]) -> Iterator[Prospect]:
    for graph in graphs:
        for node in sorted(graph.graph.waits):
            spec = graph.block.nodes[node].spec
            if isinstance(spec, WaitSpec) and spec.event:
                condition = str(spec.match.source) if spec.match is not None else None
                enabled, why = (True, "") if condition is None else (None, "it depends on the event")
                yield Prospect(spec.event, None, graph.path(node), (), condition, enabled, why)


def _timers(turn: Turn) -> Iterator[RunningTimer]:
    due = turn.state.timers
    for scope in turn.machines.values():
        for timer, (state, number) in scope.machine.delays.items():
            if timer in due:
                plan = scope.chart.states[state]
                yield RunningTimer(due[timer], "delay", plan.name, scope.path, plan.delays[number].every)
        for timer, sent in scope.machine.sends.items():
            if timer in due:
                yield RunningTimer(due[timer], "send", sent.name, scope.path)
    for graph in turn.graphs.values():
        for node, wait in graph.graph.waits.items():
            spec = graph.block.nodes[node].spec
            if wait.timer in due and isinstance(spec, WaitSpec):
                yield RunningTimer(due[wait.timer], "timeout" if spec.event else "wait", graph.path(node))


def _names(chart: ChartPlan, states: Iterable[int]) -> tuple[str, ...]:
    return tuple(chart.states[state].name for state in states)
