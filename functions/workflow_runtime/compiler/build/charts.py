"""A checked chart and its formulas become a `ChartPlan`. Nothing is decided or reported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from workflow_runtime.compiler.collect.chart_formulas import chart_outputs
from workflow_runtime.compiler.collect.sources import CallSource, ChartSource
from workflow_runtime.compiler.collect.states import StateSource, TransitionSource, transitions_of
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.actions import (
    ActionDefinition,
    CallActionDefinition,
    CancelSendActionDefinition,
    ForEachActionDefinition,
    IfActionDefinition,
    LogActionDefinition,
    PublishActionDefinition,
    RaiseActionDefinition,
    SendActionDefinition,
    SetVariableActionDefinition,
    StartWorkflowActionDefinition,
)
from workflow_runtime.definition.charts.transitions import AfterDefinition, InitialDefinition
from workflow_runtime.definition.workflow import MISSING
from workflow_runtime.plan.actions import (
    Action,
    CallAction,
    CancelSendAction,
    ForEachAction,
    IfAction,
    LogAction,
    PublishAction,
    RaiseAction,
    SendAction,
    SetVariableAction,
    StartWorkflowAction,
)
from workflow_runtime.plan.chart import Call, ChartPlan
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.states import Delay, StateKind, StatePlan, TransitionPlan


class ChartAssembly:
    """``formulas``: by document path. ``firsts``: the plan-wide number of each graph's first node."""

    def __init__(self, chart: ChartSource, formulas: Mapping[DocumentPath, Formula], firsts: list[int]) -> None:
        self._chart = chart
        self._formulas = formulas
        self._node = -1 if chart.node is None else firsts[chart.node.graph] + chart.node.node
        self._calls: dict[DocumentPath, int] = {place: number for number, place in enumerate(chart.calls)}

    def plan(self) -> ChartPlan:
        chart = self._chart
        outputs = None if chart_outputs(chart) is MISSING else self._formulas[*chart.place, "outputs"]
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
            on_enter=self._actions(written.on_enter, (*place, "on_enter")),
            on_exit=self._actions(written.on_exit, (*place, "on_exit")),
            run=self._chart.runs.get(number, -1),
            output=self._formulas.get((*place, "output")),
        )

    def _initial(self, number: int, state: StateSource) -> TransitionPlan | None:
        if state.is_history:
            return self._history_default(number, state)
        if state.kind is not StateKind.COMPOUND or state.start is None:
            return None
        field = "initial_state" if state.definition is None else "initial"
        return self._entry(number, state.start, (*state.place, field))

    def _entry(self, number: int, entry: InitialDefinition, place: DocumentPath) -> TransitionPlan:
        actions = self._actions(entry.actions, (*place, "actions"))
        return TransitionPlan(source=number, targets=self._targets(entry.targets), actions=actions)

    def _history_default(self, number: int, state: StateSource) -> TransitionPlan:
        """What is entered when nothing is remembered; unless the author says, what the parent enters by default."""
        assert state.definition is not None  # the chart itself is no history state
        if state.definition.default is not None:
            return self._entry(number, state.definition.default, (*state.place, "default"))
        parent = self._chart.states[state.parent]
        if parent.start is not None:
            return TransitionPlan(source=number, targets=self._targets(parent.start.targets))
        regions = tuple(child for child in parent.children if not self._chart.states[child].is_history)
        return TransitionPlan(source=number, targets=regions)

    def _transition(self, number: int, item: TransitionSource) -> TransitionPlan:
        written = item.definition
        merge = (
            self._chart.definition.merge_event_data if written.merge_event_data is None else written.merge_event_data
        )
        return TransitionPlan(
            source=number,
            events=item.events,
            after=item.after,
            guard=self._formulas.get((*item.place, "condition")),
            targets=self._targets(written.targets),
            internal=written.type == "internal",
            actions=self._actions(written.actions, (*item.place, "actions")),
            merge=merge,
        )

    def _targets(self, names: Iterable[str]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self._chart.index[name] for name in names))

    def _delay(self, written: AfterDefinition, place: DocumentPath) -> Delay:
        delay = self._formulas.get((*place, "delay"), written.delay)
        every = self._formulas.get((*place, "every"), written.every)
        return Delay(delay, every)

    def _actions(self, actions: Iterable[ActionDefinition], place: DocumentPath) -> tuple[Action, ...]:
        return tuple(self._action(action, (*place, position)) for position, action in enumerate(actions))

    def _action(self, action: ActionDefinition, place: DocumentPath) -> Action:
        def optional(field: str) -> Formula | None:
            return self._formulas.get((*place, field))

        def formula(field: str) -> Formula:
            return self._formulas[*place, field]

        required = action.required
        match action:
            case LogActionDefinition():
                return LogAction(formula("message"), action.level, required)
            case PublishActionDefinition():
                return PublishAction(formula("topic"), optional("payload"), required)
            case SetVariableActionDefinition():
                return SetVariableAction(action.name, optional("value") or Formula(None), required)
            case RaiseActionDefinition():
                return RaiseAction(formula("event"), optional("data"), required)
            case SendActionDefinition():
                fields = {name: optional(name) for name in ("id", "data", "delay", "to", "correlate")}
                return SendAction(formula("event"), **fields, required=required)
            case CancelSendActionDefinition():
                return CancelSendAction(formula("id"), required)
            case IfActionDefinition():
                then = self._actions(action.then, (*place, "then"))
                return IfAction(
                    formula("condition"), then, self._actions(action.otherwise, (*place, "otherwise")), required
                )
            case ForEachActionDefinition():
                do = self._actions(action.do, (*place, "do"))
                return ForEachAction(formula("items"), action.as_name, action.index, do, required)
            case StartWorkflowActionDefinition():
                return StartWorkflowAction(
                    formula("workflow_id"), optional("input"), action.result_event or "", required
                )
            case CallActionDefinition():
                inputs = optional("inputs") if action.inputs else None
                return CallAction(self._calls[place], inputs, required)
        raise AssertionError(f"an action {type(action).__name__} has passed the loader")


def _call(call: CallSource) -> Call:
    return Call(call.block, call.owner, call.action.result or "", call.action.required)
