"""A checked chart and its formulas become a `ChartPlan`. Nothing is decided or reported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from workflow_runtime.compiler.collect.chart_formulas import chart_outputs
from workflow_runtime.compiler.collect.graphs import CallSource, ChartSource
from workflow_runtime.compiler.collect.states import StateSource, TransitionSource, transitions_of
from workflow_runtime.compiler.kinds import kind_of_action
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.actions import ActionDefinition
from workflow_runtime.definition.charts.transitions import AfterDefinition, InitialDefinition
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.plan.actions import Action
from workflow_runtime.plan.chart import Call, ChartPlan
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.states import Delay, StateKind, StatePlan, TransitionPlan


class ChartAssembly:
    """One chart, from what the stages before have settled to its plan.

    - ``formulas``: by document path
    - ``firsts``: the plan-wide number of each graph's first node
    """

    def __init__(self, chart: ChartSource, formulas: Mapping[DocumentPath, Formula], firsts: list[int]) -> None:
        self._chart = chart
        self.formulas = formulas
        self._node = -1 if chart.node is None else firsts[chart.node.graph] + chart.node.node
        self.calls: dict[DocumentPath, int] = {place: number for number, place in enumerate(chart.calls)}

    def plan(self) -> ChartPlan:
        chart = self._chart
        outputs = None if chart_outputs(chart) is MISSING else self.formulas[*chart.place, "outputs"]
        return ChartPlan(
            states=tuple(self._state(number, state) for number, state in enumerate(chart.states)),
            calls=tuple(map(_call, chart.calls.values())),
            prefix=chart.prefix,
            node=self._node,
            outputs=outputs,
            on_unhandled_event=chart.definition.on_unhandled_event,
            on_unhandled_error=chart.definition.on_unhandled_error,
        )

    def _state(self, number: int, state: StateSource) -> StatePlan:
        written, place = state.definition, state.place
        plan = StatePlan(state.name, state.kind, state.parent, state.children, self._initial(number, state))
        if written is None:
            return plan
        return msgspec.structs.replace(
            plan,
            transitions=tuple(self._transition(number, item) for item in transitions_of(written, place)),
            delays=tuple(self._delay(item, (*place, "after", i)) for i, item in enumerate(written.after)),
            on_enter=self.actions(written.on_enter, (*place, "on_enter")),
            on_exit=self.actions(written.on_exit, (*place, "on_exit")),
            run=self._chart.runs.get(number, -1),
            output=self.formulas.get((*place, "output")),
        )

    def _initial(self, number: int, state: StateSource) -> TransitionPlan | None:
        if state.is_history:
            return self._history_default(number, state)
        if state.kind is not StateKind.COMPOUND or state.start is None:
            return None
        field = "initial_state" if state.definition is None else "initial"
        return self._entry(number, state.start, (*state.place, field))

    def _entry(self, number: int, entry: InitialDefinition, place: DocumentPath) -> TransitionPlan:
        actions = self.actions(entry.actions, (*place, "actions"))
        return TransitionPlan(source=number, targets=self._targets(entry.targets), actions=actions)

    def _history_default(self, number: int, state: StateSource) -> TransitionPlan:
        """What is entered when nothing is remembered; unless the author says, what the parent enters by default."""
        assert state.definition is not None  # the chart itself is not a history state
        if state.definition.default is not None:
            return self._entry(number, state.definition.default, (*state.place, "default"))
        parent = self._chart.states[state.parent]
        if parent.start is not None:
            return TransitionPlan(source=number, targets=self._targets(parent.start.targets))
        regions = tuple(child for child in parent.children if not self._chart.states[child].is_history)
        return TransitionPlan(source=number, targets=regions)

    def _transition(self, number: int, item: TransitionSource) -> TransitionPlan:
        written = item.definition
        merge = written.merge_event_data
        if merge is None:
            merge = self._chart.definition.merge_event_data
        return TransitionPlan(
            source=number,
            events=item.events,
            after=item.after,
            guard=self.formulas.get((*item.place, "condition")),
            targets=self._targets(written.targets),
            internal=written.type == "internal",
            actions=self.actions(written.actions, (*item.place, "actions")),
            merge=merge is not False,
            overwrites=merge or (),
        )

    def _targets(self, names: Iterable[str]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self._chart.index[name] for name in names))

    def _delay(self, written: AfterDefinition, place: DocumentPath) -> Delay:
        delay = self.formulas.get((*place, "delay"), written.delay)
        every = self.formulas.get((*place, "every"), written.every)
        return Delay(delay, every)

    def actions(self, actions: Iterable[ActionDefinition], place: DocumentPath) -> tuple[Action, ...]:
        return tuple(self._action(action, (*place, position)) for position, action in enumerate(actions))

    def _action(self, action: ActionDefinition, place: DocumentPath) -> Action:
        return kind_of_action(action).build(action, _ActionParts(self, action, place))


class _ActionParts:
    """See `kinds.kind.ActionParts`."""

    def __init__(self, assembly: ChartAssembly, action: ActionDefinition, place: DocumentPath) -> None:
        self._assembly = assembly
        self._action = action
        self._place = place

    @property
    def call(self) -> int:
        return self._assembly.calls[self._place]

    def formula(self, name: str) -> Formula | None:
        return self._assembly.formulas.get((*self._place, name))

    def required(self, name: str) -> Formula:
        return self._assembly.formulas[*self._place, name]

    def actions(self, name: str) -> tuple[Action, ...]:
        return self._assembly.actions(getattr(self._action, name), (*self._place, name))


def _call(call: CallSource) -> Call:
    return Call(call.block, call.owner, call.action.result or "", call.action.required)
