"""A chart at work: its plan, its state, and what its guards and actions see."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.names import NO_LOCALS, View, evaluate, iso_time
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.sight import charts_seen
from workflow_runtime.engine.state import MachineState, Raised
from workflow_runtime.engine.statechart import leaves
from workflow_runtime.engine.turn import Turn, ValuesMissing
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.formulas import BindingKind, Formula


class Happening(msgspec.Struct, frozen=True):
    """An event as a chart takes it. ``runtime``: its data never becomes variables. ``state`` and ``delay``: of a delay
    that has run out, whose it is."""

    name: str
    data: Json = None
    id: str = ""
    source: str = ""
    at: int = 0
    runtime: bool = False
    state: int = -1
    delay: int = -1

    @property
    def overlay(self) -> Mapping[str, Json]:
        return self.data if isinstance(self.data, dict) and self.delay < 0 else NO_LOCALS

    @property
    def value(self) -> dict[str, Json]:
        """``event`` as formulas see it."""
        return {"name": self.name, "data": self.data, "id": self.id, "source": self.source, "at": iso_time(self.at)}


def data_of(turn: Turn, signal: SignalReceived) -> Json:
    """An event's data; of one that waits, large data stays apart until somebody looks. Raises `ValuesMissing`."""
    return signal.data if signal.blob is None else turn.blob(signal.blob)


def of_signal(turn: Turn, signal: SignalReceived) -> Happening:
    """Raises `ValuesMissing`."""
    return Happening(signal.name, data_of(turn, signal), signal.id, signal.source, signal.at or turn.now)


def of_raised(raised: Raised, now: int) -> Happening:
    return Happening(raised.name, raised.data, at=now, runtime=raised.runtime, state=raised.state, delay=raised.delay)


class MachineScope:
    """``outer``: the graph that holds the chart in its ``node``; None at the top.

    ``happening``: the event being taken; ``overlay``: its data, while that hides other names. ``offered``: the
    configuration that deferred events were last offered to, and ``refused`` how many of them it did not take.
    """

    __slots__ = (
        "chart", "happening", "is_over", "machine", "node", "number", "offered", "outer", "overlay", "refused",
        "turn",
    )  # fmt: skip

    def __init__(self, turn: Turn, number: int, machine: MachineState, outer: GraphScope | None, node: int) -> None:
        self.turn = turn
        self.number = number
        self.chart: ChartPlan = turn.plan.charts[number]
        self.machine = machine
        self.outer = outer
        self.node = node
        self.happening: Happening | None = None
        self.overlay: Mapping[str, Json] = NO_LOCALS
        self.offered = machine.configuration[:]
        self.refused = len(machine.deferred)
        self.is_over = False

    @property
    def depth(self) -> int:
        return self.outer.depth + 1 if self.outer is not None else 0

    @property
    def path(self) -> str:
        """Path of the node that holds it; ``""`` at the top."""
        return self.outer.path(self.node) if self.outer is not None else ""

    @property
    def leaves(self) -> tuple[str, ...]:
        """Names of the active leaf states."""
        return tuple(self.chart.states[state].name for state in leaves(self.chart, self.machine.configuration))

    def raise_event(self, name: str, data: Json = None, *, runtime: bool = True) -> None:
        """Queue an internal event."""
        self.machine.internal.append(Raised(name, data, runtime))

    def evaluate(self, formula: Formula, locals: Mapping[str, Json] = NO_LOCALS) -> Json:
        """The formula's value here and now. Raises `ValuesMissing`, `EvaluationError`."""
        turn = self.turn
        graph = self.outer if self.outer is not None else turn.graphs[0]
        if formula.kinds & graph.global_kinds:
            turn.need_globals()
        seen = charts_seen(turn, self, (formula,))
        if seen.lacks:
            turn.need_globals()
        nodes = graph.nodes(set(formula.nodes), with_errors=True) if formula.nodes else {}
        if nodes is None:
            raise ValuesMissing
        state = turn.state
        turn.evaluations += 1
        view = View(
            plan=turn.plan,
            execution_id=state.execution_id,
            workflow_version=state.workflow_version,
            started_at=state.started_at,
            now=state.now,
            place=f"{self.path}~{state.version}.{turn.evaluations}",
            nodes=nodes,
            globals=turn.globals or {},
            names=seen.names,
            states=seen.states,
            event=self.happening.value if self.happening is not None and BindingKind.EVENT in formula.kinds else None,
            overlay=self.overlay,
        )
        return evaluate(formula, view, locals)
