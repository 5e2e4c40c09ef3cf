"""Chart blocks: states and transitions by index (statecharts; SCXML's terms).

States stand in document order, parents before children; ``states[0]`` is the chart itself, whose children are the
author's top states. A state's `run` graph is a block of its own, as is a call of an agent or tool by an action; blocks
are named by their number in the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import msgspec

from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.actions import StartWorkflowAction
from workflow_runtime.plan.chart_tree import Tree
from workflow_runtime.plan.formulas import Formula, formulas_in
from workflow_runtime.plan.states import ROOT_STATE, StatePlan, TransitionPlan


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """An agent or tool that an action calls: a ``block`` of one node.

    - ``owner``: the state that cancels it when exited (the chart itself for calls of transitions and exits)
    - ``variable``: what its result becomes. Not ``required``: nobody is told of its failure
    """

    block: int
    owner: int = ROOT_STATE
    variable: str = ""
    required: bool = True


class ChartPlan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A chart.

    - ``prefix``: starts the paths of what it runs (``""`` at the top, ``review/machine/`` when nested)
    - ``node``: the node it is inside of, by its plan-wide number; -1 at the top
    - ``outputs``: None for its variables
    - ``on_unhandled_event``: ignore, defer or fail; ``on_unhandled_error``: fail or ignore
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

    @cached_property
    def starts(self) -> frozenset[str]:
        """The workflows that its actions start, as far as their ids are written."""
        return frozenset(_started_in(self.states))

    def way(self, transition: TransitionPlan) -> str:
        """Where one of its transitions leads from and to, for people."""
        found = self._ways.get(id(transition))
        if found is None:
            targets = ", ".join(self.states[target].name for target in transition.targets)
            source = self.states[transition.source].name
            found = self._ways[id(transition)] = f"{source} -> {targets}" if targets else source
        return found

    @cached_property
    def _ways(self) -> dict[int, str]:
        """As far as anybody has asked for them, by identity of the transition."""
        return {}

    @cached_property
    def tree(self) -> Tree:
        """Where its states stand to each other."""
        return Tree(self.states)

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """What the dispatcher evaluates for this chart, the graphs in it apart."""
        return tuple(formulas_in((self.outputs, self.states)))


def _started_in(value: object) -> Iterator[str]:
    """What the actions in a part of a chart start."""
    if isinstance(value, StartWorkflowAction):
        id = value.workflow_id.source
        if isinstance(id, str) and not has_template(id):
            yield id
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _started_in(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _started_in(item)
