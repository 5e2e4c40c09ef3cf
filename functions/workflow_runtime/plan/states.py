"""The states of a chart and the transitions that leave them, by index (SCXML's terms)."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from workflow_runtime.language.enumerations import direct
from workflow_runtime.plan.actions import Action
from workflow_runtime.plan.formulas import Formula

ROOT_STATE = 0
"""The chart itself, whose children are the author's top states."""


@direct
class StateKind(StrEnum):
    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    SHALLOW_HISTORY = "shallow_history"
    DEEP_HISTORY = "deep_history"


class TransitionPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transition of a state.

    - ``events``: descriptors (``order.*`` has the prefix form ``order``; ``*`` is everything); none: eventless
    - ``after``: the delay of the source state whose timer takes it, by number; -1: none does
    - ``targets``: if there are none, nothing is exited or entered
    - ``merge``: the event's data becomes variables once the transition is taken
    - ``overwrites``: variables that are the workflow's own (declared, given or set) and are overwritten anyway;
      true: all of them
    """

    source: int
    events: tuple[str, ...] = ()
    after: int = -1
    guard: Formula | None = None
    targets: tuple[int, ...] = ()
    internal: bool = False
    actions: tuple[Action, ...] = ()
    merge: bool = True
    overwrites: bool | tuple[str, ...] = ()


class Delay(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a timer of a state fires: ``delay`` after entry (a duration: seconds or a formula); with ``every``
    repeatedly after that."""

    delay: float | Formula
    every: float | Formula | None = None


class StatePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One state. ``transitions`` in document order, those of ``always``, ``after``, ``on_done`` and ``on_error`` among
    them (events ``""``-less, by timer, ``done.run.<state>`` or ``done.state.<state>``, ``error.run.<state>``).

    - ``initial``: of a compound state, what is entered by default; of a history state, its default
    - ``output``: of a final state, the data of its parent's done event
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
