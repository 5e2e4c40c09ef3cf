"""The engine as a pure function, for tests: one event at a time, and walks through the states of a chart.

`transition` gives the next state and what must happen, and does nothing itself; time is the event's ``at``. `walk`
finds a shortest way to every configuration that given events lead to, so that a test can go each of them::

    >>> from workflow_runtime.compiler import compile_or_raise
    >>> plan = compile_or_raise('''
    ... workflow:
    ...   id: order
    ...   type: state_machine
    ...   initial_state: new
    ...   states:
    ...     - {name: new, transitions: [{event: pay, condition: amount > 0, target: paid}]}
    ...     - {name: paid, transitions: [{event: ship, target: done}]}
    ... ''')
    >>> state, effects = begin(plan)
    >>> state, effects = transition(plan, state, event("pay", {"amount": 3}))
    >>> active(plan, state)
    ('paid',)
    >>> for configuration, way in walk(plan, [event("pay", {"amount": 3}), event("ship")]).items():
    ...     print(*configuration, [step.name for step in way])
    new []
    paid ['pay']
    done ['pay', 'ship']
"""

from __future__ import annotations

import reprlib
from collections import deque
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.advance import Decision, advance, new_execution
from workflow_runtime.engine.commands import Command
from workflow_runtime.engine.events import Event, ExecutionStarted, SignalReceived
from workflow_runtime.engine.preview import preview
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART
from workflow_runtime.plan.plan import Plan

CONFIGURATIONS_MAX = 10_000  # that a walk looks at: regions multiply

Configuration: TypeAlias = tuple[str, ...]
"""Names of the active leaf states of the chart at the top."""


class Values(msgspec.Struct, frozen=True):
    """What decisions may read: the execution's input and variables, and outputs of nodes by path."""

    input: Json = None
    variables: dict[str, Json] = {}
    outputs: Mapping[str, Json] = {}


NO_VALUES = Values()

_PLAN = "a plan; `workflow_runtime.compiler.compile_or_raise(text)` makes one of a definition"
_STATE = "a state; `begin(plan)` and `transition(…)` give one, as the first of two: `state, effects = begin(plan)`"
_EVENT = 'an event; `event("pay", {"amount": 3})` of `workflow_runtime.testing.transitions` makes one'
_EVENTS = 'a list of events; `[event("pay"), event("ship")]` of `workflow_runtime.testing.transitions` makes one'
_VALUES = 'of what decisions may read; `Values(input={"amount": 3})` of `workflow_runtime.testing.transitions` says it'


def begin(plan: Plan, values: Values = NO_VALUES, at: int = 0) -> tuple[ExecutionState, tuple[Command, ...]]:
    """The state of an execution that starts at ``at`` (epoch ms), and what it orders. Raises `TypeError` for what is
    no plan."""
    _expect("plan", plan, Plan, _PLAN)
    return transition(plan, new_execution(plan, "execution", 1, at), ExecutionStarted("start", at), values)


def transition(
    plan: Plan, state: ExecutionState, event: Event, values: Values = NO_VALUES
) -> tuple[ExecutionState, tuple[Command, ...]]:
    """The next state, and what must happen for it, as commands. ``state`` is not changed.

    Raises `InvalidEvent` for an event that can never come, `KeyError` for the path of a node whose output a decision
    reads and ``values`` lacks, `LookupError` if it reads what no values can give (what a visit that is undone was
    given, payloads stored apart), `TypeError` for arguments that are something else.
    """
    _expect("plan", plan, Plan, _PLAN)
    _expect("state", state, ExecutionState, _STATE)
    _expect("event", event, Event, _EVENT)
    _expect("values", values, Values, _VALUES)
    known, asked = Known(), Needs(())
    while not isinstance(decision := advance(plan, state, [event], event.at, known), Decision):
        if decision == asked:
            raise LookupError(f"deciding on {event.event_id!r} takes what is recorded of an execution: {decision}")
        asked = decision
        nodes = {
            read: NodeValue("success", prune(values.outputs[read.path(plan)], plan.node(read.node).decision_paths))
            for read in decision.reads
        }
        orders, segments = dict.fromkeys(decision.orders), frozenset(decision.segments)  # nothing is recorded of them
        variables = {"input": values.input, "variables": values.variables, "env": {}}
        known = known.with_more(Known(nodes, variables, orders=orders, segments=segments))
    return decision.state, decision.commands


def event(name: str, data: Json = None, at: int = 0) -> SignalReceived:
    """An event from outside that comes at ``at`` (epoch ms). Each that an execution is to take needs a time or name of
    its own: the same event twice is a repeat. Raises `TypeError` for a name that is no text, or a time that is no
    number."""
    _expect("name", name, str, 'text, such as `event("pay")`')
    _expect("at", at, int, 'a number of milliseconds; `event("pay", at=3_600_000)` comes an hour after time 0')
    return SignalReceived(f"signal:{name}@{at}", at, name, data, id=f"{name}@{at}")


def active(plan: Plan, state: ExecutionState) -> Configuration:
    """The active leaf states of the chart at the top; the final state once it has ended. Raises `TypeError`."""
    _expect("plan", plan, Plan, _PLAN)
    _expect("state", state, ExecutionState, _STATE)
    if TOP_CHART not in state.scopes:
        return ()
    return next(chart.states for chart in preview(plan, state, state.now).charts if not chart.path)


def walk(
    plan: Plan, events: Sequence[SignalReceived], values: Values = NO_VALUES
) -> dict[Configuration, tuple[SignalReceived, ...]]:
    """By configuration that these events lead to, in any order and number: a shortest way there from the start.

    Configurations are told apart by their states only, not by variables. Raises `ValueError` when there are more than
    `CONFIGURATIONS_MAX`, `TypeError` for arguments that are something else.
    """
    _expect("plan", plan, Plan, _PLAN)
    _expect("events", events, Sequence, _EVENTS)
    for number, sent in enumerate(events):
        _expect(f"events[{number}]", sent, SignalReceived, _EVENT)
    start, _ = begin(plan, values)
    found: dict[Configuration, tuple[SignalReceived, ...]] = {active(plan, start): ()}
    pending = deque([start])
    while pending:
        state = pending.popleft()
        way = found[active(plan, state)]
        for number, sent in enumerate(events):
            if state.status.terminal:
                break
            step = replace(sent, event_id=f"{sent.event_id}/{len(way)}.{number}")
            after, _ = transition(plan, state, step, values)
            configuration = active(plan, after)
            if configuration not in found:
                found[configuration] = (*way, sent)
                pending.append(after)
        if len(found) > CONFIGURATIONS_MAX:
            raise ValueError(f"these events lead to more than {CONFIGURATIONS_MAX:,} configurations")
    return found


def _expect(name: str, value: object, kind: type | UnionType, wanted: str) -> None:
    """Raises `TypeError` for an argument that is not of its kind, with what is ``wanted`` and how to come by it."""
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` is {reprlib.repr(value)}, a {type(value).__name__}, and not {wanted}")
