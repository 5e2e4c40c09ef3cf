"""The states of a chart, flat: in document order, parents before children, the chart itself first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from workflow_runtime.compiler.kinds import kind_of_action
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.actions import (
    ActionDefinition,
    CallActionDefinition,
)
from workflow_runtime.definition.charts.states import StateDefinition, StateMachineNode, start_of
from workflow_runtime.definition.charts.transitions import InitialDefinition, TransitionDefinition
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.states import ROOT_STATE, StateKind

IMPLIED_FINALS = ("done", "end")
"""Names that transitions may target without a state of that name: final states at the chart's top."""


class StateSource(msgspec.Struct, frozen=True, kw_only=True):
    """One state. ``definition`` is None for the chart itself and for final states that are only named. ``start``: of a
    compound state, what is entered by default, if that is clear.
    """

    name: str
    kind: StateKind
    place: DocumentPath
    definition: StateDefinition | None = None
    start: InitialDefinition | None = None
    parent: int = -1
    children: tuple[int, ...] = ()

    @property
    def is_history(self) -> bool:
        return self.kind in (StateKind.SHALLOW_HISTORY, StateKind.DEEP_HISTORY)


class TransitionSource(msgspec.Struct, frozen=True):
    """A transition of a state and where it stands. ``after``: see `plan.TransitionPlan`."""

    definition: TransitionDefinition
    place: DocumentPath
    events: tuple[str, ...] = ()
    after: int = -1


class CallPlace(msgspec.Struct, frozen=True):
    action: CallActionDefinition
    place: DocumentPath
    owner: int


class _Found(msgspec.Struct):
    definition: StateDefinition | None
    name: str
    place: DocumentPath
    parent: int
    children: list[int]


def flatten(definition: WorkflowDefinition | StateMachineNode, place: DocumentPath) -> tuple[StateSource, ...]:
    """All states of a chart. Those that are only named stand last."""
    found = [_Found(None, "", place, -1, [])]

    def add(states: Iterable[StateDefinition], parent: int, path: DocumentPath) -> None:
        for position, state in enumerate(states):
            number = len(found)
            found[parent].children.append(number)
            found.append(_Found(state, state.name, (*path, position), parent, []))
            add(state.states, number, (*path, position, "states"))

    add(definition.states, ROOT_STATE, (*place, "states"))
    finals = frozenset(definition.final_states)
    declared = {item.name for item in found}
    for name, path in _implied(definition, place, found):
        if name not in declared:
            declared.add(name)
            found[ROOT_STATE].children.append(len(found))
            found.append(_Found(None, name, path, ROOT_STATE, []))
    return tuple(
        StateSource(
            name=item.name,
            kind=_kind(item, is_final=item.parent == ROOT_STATE and item.name in finals),
            place=item.place,
            definition=item.definition,
            start=_start(definition, item),
            parent=item.parent,
            children=tuple(item.children),
        )
        for item in found
    )


def _start(definition: WorkflowDefinition | StateMachineNode, item: _Found) -> InitialDefinition | None:
    if item.parent < 0:
        return start_of(definition.states, definition.initial_state, definition.final_states)
    if item.definition is None or item.definition.type == "parallel" or not item.children:
        return None
    return start_of(item.definition.states, item.definition.initial)


def _implied(
    definition: WorkflowDefinition | StateMachineNode, place: DocumentPath, found: list[_Found]
) -> Iterator[tuple[str, DocumentPath]]:
    """Names of final states that need no declaration, and where they are first named."""
    for position, name in enumerate(definition.final_states):
        yield name, (*place, "final_states", position)
    for item in found[1:]:
        if item.definition is None:
            continue
        for transition in transitions_of(item.definition, item.place):
            for position, name in enumerate(transition.definition.targets):
                if name in IMPLIED_FINALS:
                    yield name, (*transition.place, "targets", position)


def _kind(item: _Found, *, is_final: bool) -> StateKind:
    written = item.definition
    if item.parent < 0:
        return StateKind.COMPOUND
    if written is None:
        return StateKind.FINAL
    if written.type == "history" or written.history is not None:
        return StateKind.DEEP_HISTORY if written.history == "deep" else StateKind.SHALLOW_HISTORY
    if written.type == "final" or is_final:
        return StateKind.FINAL
    if written.type == "parallel" and item.children:
        return StateKind.PARALLEL
    return StateKind.COMPOUND if item.children else StateKind.ATOMIC


def transitions_of(state: StateDefinition, place: DocumentPath) -> Iterator[TransitionSource]:
    """What leads out of a state, in the order in which it is tried (see `plan.StatePlan.transitions`)."""
    for position, transition in enumerate(state.transitions):
        yield TransitionSource(transition, (*place, "transitions", position), transition.events)
    if state.on_done is not None:
        done = f"done.{'run' if state.run else 'state'}.{state.name}"
        yield TransitionSource(state.on_done, (*place, "on_done"), (done,))
    if state.on_error is not None:
        yield TransitionSource(state.on_error, (*place, "on_error"), (f"error.run.{state.name}",))
    for position, delayed in enumerate(state.after):
        yield TransitionSource(delayed, (*place, "after", position), after=position)
    for position, eventless in enumerate(state.always):
        yield TransitionSource(eventless, (*place, "always", position))


def calls_of(state: StateSource, number: int) -> Iterator[CallPlace]:
    """The agents and tools that a state's actions call. What it enters with it owns; the rest belongs to the chart."""
    for place, actions, is_entry in action_blocks(state):
        for action, path in nested_actions(actions, place):
            if isinstance(action, CallActionDefinition):
                yield CallPlace(action, path, number if is_entry else ROOT_STATE)


def action_blocks(state: StateSource) -> Iterator[tuple[DocumentPath, tuple[ActionDefinition, ...], bool]]:
    """Place, actions, and whether they are taken on entry."""
    written, place = state.definition, state.place
    if written is not None:
        yield (*place, "on_enter"), written.on_enter, True
        yield (*place, "on_exit"), written.on_exit, False
        for transition in transitions_of(written, place):
            yield (*transition.place, "actions"), transition.definition.actions, False
        if written.default is not None:
            yield (*place, "default", "actions"), written.default.actions, False
    if state.start is not None:
        field = "initial" if written is not None else "initial_state"
        yield (*place, field, "actions"), state.start.actions, False


def nested_actions(
    actions: Iterable[ActionDefinition], place: DocumentPath
) -> Iterator[tuple[ActionDefinition, DocumentPath]]:
    """The actions and all that stand inside of them."""
    for position, action in enumerate(actions):
        path = (*place, position)
        yield action, path
        for block in kind_of_action(action).blocks:
            yield from nested_actions(getattr(action, block), (*path, block))
