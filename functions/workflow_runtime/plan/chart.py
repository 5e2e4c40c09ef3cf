"""Chart blocks: states and transitions by index, and the actions they take (statecharts; SCXML's terms).

States stand in document order, parents before children; ``states[0]`` is the chart itself, whose children are the
author's top states. A state's `run` graph is a block of its own, as is a call of an agent or tool by an action; blocks
are named by their number in the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

import msgspec

from workflow_runtime.plan.formulas import Formula

ROOT_STATE = 0


class StateKind(StrEnum):
    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    SHALLOW_HISTORY = "shallow_history"
    DEEP_HISTORY = "deep_history"


class LogAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="log"):
    message: Formula
    level: str = "info"
    required: bool = True


class PublishAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="publish_event"):
    """Put an event on the bus: ``topic`` is its detail-type."""

    topic: Formula
    payload: Formula | None = None
    required: bool = True


class SetVariableAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="set_variable"):
    name: str
    value: Formula
    required: bool = True


class RaiseAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="raise"):
    """An internal event of this chart."""

    event: Formula
    data: Formula | None = None
    required: bool = True


class SendAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="send"):
    """An external event, perhaps later (``delay``: a duration).

    ``to`` yields an execution id, ``parent``, or the path of a nested machine; ``correlate`` the key of executions that
    wait for the event; with neither it goes to this execution.
    """

    event: Formula
    id: Formula | None = None
    data: Formula | None = None
    delay: Formula | None = None
    to: Formula | None = None
    correlate: Formula | None = None
    required: bool = True


class CancelSendAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="cancel_send"):
    id: Formula
    required: bool = True


class IfAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="if"):
    condition: Formula
    then: tuple[Action, ...] = ()
    otherwise: tuple[Action, ...] = ()
    required: bool = True


class ForEachAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="for_each"):
    """Take ``do`` for every item of a list; ``name`` and ``index`` are what the item and its place are called."""

    items: Formula
    name: str = "item"
    index: str = "index"
    do: tuple[Action, ...] = ()
    required: bool = True


class StartWorkflowAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="start_workflow"):
    """Start an execution that goes its own way; ``result_event`` comes back when it ends."""

    workflow_id: Formula
    input: Formula | None = None
    result_event: str = ""
    required: bool = True


class CallAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="call"):
    """Run an agent or tool: ``call`` is an index into the chart's ``calls``. ``inputs`` are fixed when it is taken."""

    call: int
    inputs: Formula | None = None
    required: bool = True


Action: TypeAlias = (
    LogAction
    | PublishAction
    | SetVariableAction
    | RaiseAction
    | SendAction
    | CancelSendAction
    | IfAction
    | ForEachAction
    | StartWorkflowAction
    | CallAction
)


class TransitionPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """``events``: descriptors (``order.*`` has the prefix form ``order``; ``*`` is everything); none: eventless.

    ``after``: the delay of the source state whose timer takes it, by number; -1: none does. No ``targets``: nothing is
    exited or entered. ``merge``: the event's data becomes variables once the transition is taken.
    """

    source: int
    events: tuple[str, ...] = ()
    after: int = -1
    guard: Formula | None = None
    targets: tuple[int, ...] = ()
    internal: bool = False
    actions: tuple[Action, ...] = ()
    merge: bool = True


class Delay(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a timer of a state fires: ``delay`` after entry (a duration: seconds or a formula); with ``every``
    repeatedly after that."""

    delay: float | Formula
    every: float | Formula | None = None


class StatePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One state. ``transitions`` in document order, those of ``always``, ``after``, ``on_done`` and ``on_error`` among
    them (events ``""``-less, by timer, ``done.run.<state>`` or ``done.state.<state>``, ``error.run.<state>``).

    ``initial``: of a compound state, what is entered by default; of a history state, its default. ``output``: of a
    final state, the data of its parent's done event.
    """

    name: str
    kind: StateKind
    parent: int = -1
    children: tuple[int, ...] = ()
    initial: TransitionPlan | None = None
    transitions: tuple[TransitionPlan, ...] = ()
    delays: tuple[Delay, ...] = ()
    on_enter: tuple[Action, ...] = ()
    on_exit: tuple[Action, ...] = ()
    run: int = -1
    output: Formula | None = None


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """An agent or tool that an action calls: a ``block`` of one node.

    ``owner``: the state that cancels it when exited (the chart itself for calls of transitions and exits).
    ``variable``: what its result becomes. Not ``required``: nobody is told of its failure.
    """

    block: int
    owner: int = ROOT_STATE
    variable: str = ""
    required: bool = True


class ChartPlan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A chart. ``prefix`` starts the paths of what it runs (``""`` at the top, ``review/machine/`` when nested).
    ``node``: the node it is inside of, by its plan-wide number; -1 at the top.

    ``outputs`` None: its variables. ``on_unhandled_event``: ignore, defer or fail; ``on_unhandled_error``: fail or
    ignore.
    """

    states: tuple[StatePlan, ...]
    calls: tuple[Call, ...] = ()
    prefix: str = ""
    node: int = -1
    outputs: Formula | None = None
    on_unhandled_event: str = "ignore"
    on_unhandled_error: str = "fail"

    @cached_property
    def index(self) -> dict[str, int]:
        """State by name; the chart itself is not in it."""
        return {state.name: number for number, state in enumerate(self.states) if number}

    @cached_property
    def has_eventless(self) -> bool:
        """Whether any transition takes no event and no timer."""
        return any(
            not transition.events and transition.after < 0 for state in self.states for transition in state.transitions
        )

    @cached_property
    def events(self) -> frozenset[str]:
        """The descriptors its transitions listen to."""
        return frozenset(
            event for state in self.states for transition in state.transitions for event in transition.events
        )

    def hears(self, event: str) -> bool:
        """Whether any of its transitions listens to events of this name."""
        return any(matches(descriptor, event) for descriptor in self.events)

    @cached_property
    def tree(self) -> Tree:
        """Where its states stand to each other."""
        return Tree(self.states)

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """What the dispatcher evaluates for this chart, the graphs in it apart."""
        found: list[Formula | None] = [self.outputs]
        for state in self.states:
            found += [state.output, *(item for delay in state.delays for item in (delay.delay, delay.every)
                                      if isinstance(item, Formula))]  # fmt: skip
            for transition in (*state.transitions, *([state.initial] if state.initial else ())):
                found.append(transition.guard)
                found += action_formulas(transition.actions)
            found += action_formulas((*state.on_enter, *state.on_exit))
        return tuple(formula for formula in found if formula is not None)


class Tree:
    """Where the states of a chart stand to each other, per state; sets of states are bit masks (bit n: state n).

    Parents come before their children, so that of the states on one line of descent the highest bit is the innermost.
    History states are nobody's ``children`` here, and are never active; without a default of their own they have their
    parent's (its first child, if that is this history state). A compound state without `initial` starts in its first
    child.
    """

    __slots__ = (
        "above",  # its proper ancestors
        "ancestors",  # the same, innermost first
        "below",  # its proper descendants
        "candidates",  # of atomic states: the transitions that it may take, its own and then outward
        "children",
        "composite",  # the states that are not atomic, as one mask
        "defaults",  # what is entered when nothing in it is asked for: a target each
        "depth",
        "histories",  # its history states
        "history",  # all history states, as one mask
        "is_atomic",
        "leaves",  # the atomic states at or below it
        "lineage",  # itself and its proper ancestors
        "scopes",  # the proper ancestors that a transition can stay within: compound states and the chart
    )

    def __init__(self, states: tuple[StatePlan, ...]) -> None:
        count = len(states)
        atomic = {StateKind.ATOMIC, StateKind.FINAL}
        shallow_or_deep = {StateKind.SHALLOW_HISTORY, StateKind.DEEP_HISTORY}
        self.is_atomic = tuple(state.kind in atomic for state in states)
        self.history = sum(1 << number for number in range(count) if states[number].kind in shallow_or_deep)
        self.composite = ((1 << count) - 1) & ~self.history & ~sum(1 << n for n in range(count) if self.is_atomic[n])
        found: list[tuple[int, ...]] = []
        for state in states:
            found.append((state.parent, *found[state.parent]) if state.parent >= 0 else ())
        self.ancestors = tuple(found)
        self.depth = tuple(map(len, found))
        self.above = tuple(sum(1 << number for number in line) for line in found)
        self.lineage = tuple(above | 1 << number for number, above in enumerate(self.above))
        self.scopes = tuple(
            sum(1 << n for n in line if n == ROOT_STATE or states[n].kind is StateKind.COMPOUND) for line in found
        )
        below, leaves = [0] * count, [0] * count
        for number, line in enumerate(found):
            for ancestor in line:
                below[ancestor] |= 1 << number
            for inside in (number, *line) if self.is_atomic[number] else ():
                leaves[inside] |= 1 << number
        self.below, self.leaves = tuple(below), tuple(leaves)
        self.children = tuple(tuple(n for n in state.children if not self.history >> n & 1) for state in states)
        self.histories = tuple(tuple(n for n in state.children if self.history >> n & 1) for state in states)
        self.candidates = tuple(
            tuple(transition for place in (number, *line) for transition in states[place].transitions)
            if self.is_atomic[number]
            else ()
            for number, line in enumerate(found)
        )
        self.defaults = tuple(self._defaults(states, number) for number in range(count))

    def _defaults(self, states: tuple[StatePlan, ...], number: int) -> tuple[int, ...]:
        state = states[number]
        if state.initial is not None:
            return state.initial.targets
        if self.history >> number & 1:
            inherited = self._defaults(states, state.parent)
            return inherited if number not in inherited else self.children[state.parent][:1]
        return self.children[number] if state.kind is StateKind.PARALLEL else self.children[number][:1]


def action_formulas(actions: tuple[Action, ...]) -> Iterator[Formula]:
    """Every formula of some actions, nested ones included."""
    for action in actions:
        for field in action.__struct_fields__:
            value = getattr(action, field)
            if isinstance(value, Formula):
                yield value
            elif isinstance(value, tuple):
                yield from action_formulas(value)


def matches(descriptor: str, event: str) -> bool:
    """Whether a transition that listens to ``descriptor`` hears ``event``.

    ``order.*`` hears ``order`` and all below it, ``*`` everything, any other descriptor the event of that very name.
    """
    if descriptor == event or descriptor == "*":
        return True
    return descriptor.endswith(".*") and (event.startswith(descriptor[:-1]) or event == descriptor[:-2])
