"""A chart at work: its plan, its state, and what its guards and actions see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping

import msgspec

from workflow_runtime.engine import pending
from workflow_runtime.engine.chart.events import ChartEvent
from workflow_runtime.engine.chart.scxml import leaves
from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.events import RunEnded, SignalReceived
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.macrosteps import Raised
from workflow_runtime.engine.scope_states import ChartState
from workflow_runtime.engine.scopes import Scope, Scopes
from workflow_runtime.engine.turn import ValuesMissing
from workflow_runtime.engine.values.evaluation import (
    MAY_COME_FROM_EVENT,
    NO_LOCALS,
    NodeValue,
    View,
    doubt_text,
    evaluate,
)
from workflow_runtime.engine.values.visibility import charts_seen, loops_seen
from workflow_runtime.language.expressions import Scope as ExpressionScope
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import shorten
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.formulas import GLOBAL_KINDS, BindingKind, Formula
from workflow_runtime.plan.states import ROOT_STATE, TransitionPlan

FAILURES_NOTED_MAX = 20  # of a macrostep: texts for people, in a journal entry
FAILURE_COLUMNS_MAX = 500

_GLOBAL_KINDS = GLOBAL_KINDS - {BindingKind.VARIABLES}
_NOTHING = ExpressionScope({})  # all that a constant sees


class ChartScope(Scope, kw_only=True):
    """What a chart does in a turn.

    - ``path``: of the node that holds it; ``""`` at the top
    - ``event``: the event being taken; ``overlay``: its data, while names may mean it; ``overwrites``: which of the
      workflow's own names it may hide and change
    - ``offered``: the configuration that deferred events were last offered to, and ``refused`` how many of them it did
      not take
    - ``is_over``: a final state at its top was entered
    - ``failures``: what failed since the last macrostep that was recorded; ``doubts``: what else people should know
    """

    chart: ChartPlan
    machine: ChartState
    path: str
    offered: list[int]
    refused: int
    event: ChartEvent | None = None
    overlay: Mapping[str, Json] = NO_LOCALS
    overwrites: tuple[bool | tuple[str, ...], ...] = ()
    is_over: bool = False
    failures: list[str] = msgspec.field(default_factory=list)
    doubts: list[str] = msgspec.field(default_factory=list)

    @classmethod
    def of(cls, scopes: Scopes, id: ScopeId, machine: ChartState) -> ChartScope:
        """The chart at this address, in this state."""
        turn, plan = scopes.turn, scopes.turn.plan
        path = "" if id == TOP_CHART else id
        return cls(
            scopes=scopes,
            turn=turn,
            plan=plan,
            id=id,
            depth=plan.chart_depths[machine.chart],
            prefix=f"{path}/" if path else "",
            chart=plan.charts[machine.chart],
            machine=machine,
            path=path,
            offered=machine.configuration[:],
            refused=len(machine.deferred),
        )

    @property
    def outer_id(self) -> ScopeId | None:
        return None if self.id == TOP_CHART else self.id.rpartition("/")[0]

    @property
    def node(self) -> int:
        """Index of the node that holds it, in the graph around it."""
        return self.plan.place(self.chart.node)[1]

    @property
    def pending(self) -> MutableMapping[int, tuple[str, ...]]:
        return self.machine.pending

    @property
    def variables(self) -> Mapping[str, Json]:
        return self.machine.variables

    @property
    def state_names(self) -> tuple[frozenset[str], frozenset[str]]:
        active = frozenset(self.chart.states[state].name for state in self.machine.configuration)
        return frozenset(self.chart.index), active

    @property
    def leaves(self) -> tuple[str, ...]:
        """Names of the active leaf states."""
        states = self.chart.states
        return tuple([states[state].name for state in leaves(self.chart, self.machine.configuration)])

    def _around_nodes(self) -> Scope:
        return self.outer or self.scopes[TOP_GRAPH]

    def find(self, number: int) -> tuple[Mark, Read]:
        return self._around_nodes().find(number)

    def value_of(self, number: int, *, with_error: bool) -> NodeValue | None:
        return self._around_nodes().value_of(number, with_error=with_error)

    def raise_event(self, name: str, data: Json = None, *, runtime: bool = True) -> None:
        """Queue an internal event."""
        self.add(Raised(name, data, runtime))

    def fail(self, what: str, *, kind: str = "error.execution") -> None:
        """Something of the chart failed: it is told by an internal event, and people by the record of the macrostep."""
        self.note_failure(what)
        self.raise_event(kind, {"type": "execution_error", "message": what, "node": None})

    def note_failure(self, what: str) -> None:
        """Something failed that the chart is not told of."""
        if len(self.failures) < FAILURES_NOTED_MAX:
            self.failures.append(shorten(what, FAILURE_COLUMNS_MAX))

    def _doubt(self, comparison: str) -> None:
        if len(self.doubts) < FAILURES_NOTED_MAX and (text := doubt_text(comparison)) not in self.doubts:
            self.doubts.append(text)

    def add(self, raised: Raised) -> None:
        self.machine.internal.append(raised)
        self.scopes.mark(self)

    def run_id(self, block: int) -> ScopeId:
        """Address of a graph that this chart runs."""
        plan = self.plan.blocks[block]
        prefix = self.prefix + plan.prefix[len(self.chart.prefix) :]
        return prefix + plan.nodes[0].id if block in self.plan.lone_blocks else prefix[:-1]

    def close_run(self, block: int) -> None:
        """End a graph that the chart runs, if it does: what is open in it is cancelled, and its state forgotten."""
        run = self.scopes.get(self.run_id(block))
        if run is not None:
            self.scopes.close(run)
            self.machine.next_serials[block] = run.next_serial()

    def close_runs(self, state: int) -> None:
        """End what a state runs; of what has ended already, the chart is told nothing any more."""
        blocks = self.plan.owned_blocks.get((self.machine.chart, state), ())
        for block in blocks:
            self.close_run(block)
        outbox = self.turn.state.outbox
        if blocks and outbox:
            outbox[:] = [sent for sent in outbox if not self._is_told_of(sent, blocks)]

    def _is_told_of(self, sent: SignalReceived | RunEnded, blocks: tuple[int, ...]) -> bool:
        return isinstance(sent, RunEnded) and sent.scope == self.id and sent.block in blocks

    def close(self) -> None:
        """Its configuration stays as it is."""
        for state in (ROOT_STATE, *self.machine.configuration):
            self.close_runs(state)
        self._end()

    def halt(self) -> None:
        """The same, but the progress of its graphs is kept: they may go on later."""
        for block in self._running():
            self.scopes[self.run_id(block)].close()
        self._end()

    def _end(self) -> None:
        pending.drop_all(self)
        self.machine.internal.clear()
        self.machine.deferred.clear()
        self.is_over = self.is_closed = True

    def _running(self) -> list[int]:
        """Blocks of the graphs that it runs."""
        states = (ROOT_STATE, *self.machine.configuration)
        owned = (self.plan.owned_blocks.get((self.machine.chart, state), ()) for state in states)
        return [block for blocks in owned for block in blocks if self.run_id(block) in self.scopes]

    def next_serial(self) -> int:
        return max([self.machine.first_serial + 1, *self.machine.next_serials.values()])

    def show(self, event: ChartEvent | None, *transitions: TransitionPlan) -> None:
        """Let the data of an event be read by name while these transitions are looked at, or taken."""
        self.overlay = event.overlay if event is not None else NO_LOCALS
        self.overwrites = tuple([transition.overwrites for transition in transitions if transition.overwrites])

    def _shown(self, formula: Formula) -> Mapping[str, Json]:
        """What of the event's data this formula reads by name: all but what the workflow has set, unless the event is
        to overwrite that. Raises `ValuesMissing`."""
        if not self.overlay:
            return NO_LOCALS
        return {
            binding.name: self.overlay[binding.name]
            for binding in formula.bindings
            if binding.kind in MAY_COME_FROM_EVENT
            and binding.name in self.overlay
            and self.may_come_from_event(binding.name, self.overwrites)
        }

    def may_come_from_event(self, name: str, overwrites: Iterable[bool | tuple[str, ...]]) -> bool:
        """Whether an event may say what this name means: one that ``overwrites`` it, or any if the workflow has not set
        it. Raises `ValuesMissing`."""
        for said in overwrites:
            if said is True or (said and name in said):
                return True
        return not self.owns(name)

    def owns(self, name: str) -> bool:
        """Whether the workflow has set a name itself: declared it, was given it, or an action set it, here or further
        out; no event changes that unasked. Raises `ValuesMissing`."""
        if name in self.machine.variables:
            return name not in self.machine.brought
        for scope in self.around() if self.id != TOP_CHART else ():
            if isinstance(scope, ChartScope) and name in scope.machine.variables:
                return name not in scope.machine.brought
        if self.plan.has_chart:
            return False  # what the workflow declares and is given are variables of the chart at the top
        known = self.turn.need_globals()
        given = known["input"]
        return name in known["variables"] or (isinstance(given, dict) and name in given)

    def set_variable(self, name: str, value: Json) -> None:
        """An action sets it: it is the workflow's own from now on."""
        machine = self.machine
        machine.variables[name] = value
        if name in machine.brought:
            machine.brought.remove(name)

    def bring_variable(self, name: str, value: Json) -> None:
        """An event brings it."""
        machine = self.machine
        if name not in machine.variables:
            machine.brought.append(name)
        machine.variables[name] = value

    def evaluate(self, formula: Formula, locals: Mapping[str, Json] = NO_LOCALS) -> Json:
        """The formula's value here and now. Raises `ValuesMissing`, `EvaluationError`."""
        turn = self.turn
        if formula.is_constant:
            turn.evaluations += 1
            return formula.compiled.evaluate(_NOTHING)
        if not _GLOBAL_KINDS.isdisjoint(formula.kinds):
            turn.need_globals()
        seen = charts_seen(self.plan, self.around(), (formula,))
        if seen.lacks:
            turn.need_globals()
        nodes = self._nodes(formula)
        given, pages = loops_seen(self.around(), (formula,)) if self.plan.has_loops else ({}, {})
        state = turn.state
        turn.evaluations += 1
        view = View(
            plan=turn.plan,
            execution_id=state.execution_id,
            workflow_version=state.workflow_version,
            reopened=state.attempt - 1,
            started_at=state.started_at,
            now=state.now,
            place=f"{self.path}~{state.version}.{turn.evaluations}",
            nodes=nodes,
            globals=turn.globals or {},
            names={**seen.names, **given, **turn.read(pages)} if given or pages else seen.names,
            states=seen.states,
            event=self.event.value if self.event is not None and BindingKind.EVENT in formula.kinds else None,
            overlay=self._shown(formula),
            doubt=self._doubt,
        )
        return evaluate(formula, view, locals)

    def _nodes(self, formula: Formula) -> dict[int, NodeValue]:
        if not formula.nodes:
            return {}
        found = {number: self.value_of(number, with_error=True) for number in formula.nodes}
        if None in found.values():
            raise ValuesMissing
        return {number: value for number, value in found.items() if value is not None}
