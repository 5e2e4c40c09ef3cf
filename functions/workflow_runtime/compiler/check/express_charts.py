"""State machine nodes of express workflows: states that nothing would ever leave, as no event comes from outside."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.compiler.collect.graphs import ChartSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.collect.states import action_blocks, nested_actions
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.actions import (
    CallActionDefinition,
    RaiseActionDefinition,
    SendActionDefinition,
    StartWorkflowActionDefinition,
)
from workflow_runtime.definition.charts.states import StateDefinition
from workflow_runtime.definition.charts.transitions import AfterDefinition
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.events import is_runtime_event, matches
from workflow_runtime.plan.express import EXPRESS_SECONDS_MAX
from workflow_runtime.plan.states import StateKind

ANY_EVENT = "*"


def stuck_states(chart: ChartSource, sources: Sources) -> Iterator[tuple[DocumentPath, str]]:
    """The states of a chart, inside no other, that only an event from outside could leave, or time that an express
    execution has not. One beside others, or with a way out that might be taken, is not among them."""
    events = {event for each in sources.charts for event in _own_events(each)}
    for state in chart.states[1:]:
        chain = [state.definition]
        parent = state.parent
        while parent > 0:
            chain.append(chart.states[parent].definition if chart.states[parent].kind is StateKind.COMPOUND else None)
            parent = chart.states[parent].parent
        if state.kind is not StateKind.ATOMIC or any(each is None for each in chain):
            continue
        written = [each for each in chain if each is not None]
        awaited = [event for each in written for transition in each.transitions for event in transition.events]
        delays = [after for each in written for after in each.after]
        if (awaited or delays) and not any(_may_move(each, events) for each in written):
            waits = [f"the event `{awaited[0]}`"] if awaited else []
            waits += ["a time after its end"] if delays else []
            message = f"nothing leaves the state `{state.name}`: it waits for {' or '.join(waits)}"
            yield state.place, f"{message}, and an express execution is over at once"


def _may_move(state: StateDefinition, events: set[str]) -> bool:
    """Whether something inside the execution may make a state, or one inside it, go on."""
    if state.run or state.always:
        return True
    if not all(_is_too_late(after) for after in state.after):
        return True
    heard = [descriptor for transition in state.transitions for descriptor in transition.events]
    return any(
        descriptor == ANY_EVENT or is_runtime_event(descriptor.removesuffix(".*"))
        or any(event == ANY_EVENT or matches(descriptor, event) for event in events)
        for descriptor in heard
    )  # fmt: skip


def _is_too_late(after: AfterDefinition) -> bool:
    return isinstance(after.delay, (int, float)) and after.delay > EXPRESS_SECONDS_MAX


def _own_events(chart: ChartSource) -> Iterator[str]:
    """What a chart may raise, send, or have come back; `ANY_EVENT` for what only the run can tell."""
    for state in chart.states:
        for place, actions, _ in action_blocks(state):
            for action, _ in nested_actions(actions, place):
                match action:
                    case RaiseActionDefinition() | SendActionDefinition():
                        yield ANY_EVENT if has_template(action.event) else action.event
                    case StartWorkflowActionDefinition(result_event=str() as event):
                        yield event
                    case CallActionDefinition():
                        yield ANY_EVENT
                    case _:
                        pass
