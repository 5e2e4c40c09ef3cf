"""How far an execution is, as far as a drawing can say it: which links were taken, and which are dead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from workflow_runtime.drawing.model import ACTIVE, DEAD, TAKEN, VISITED
from workflow_runtime.plan.events import matches
from workflow_runtime.plan.states import TransitionPlan

_BEGUN = frozenset({"ready", "running", "retrying", "success", "compensated", "failed"})
_CAME_TO_NOTHING = frozenset({"failed", "skipped", "cancelled"})


class Progress(msgspec.Struct, frozen=True):
    """``statuses``: of nodes by path; ``passes``: of loops by path, how far they are, as text.

    By path of the chart, ``""`` for the one at the top: ``active``, names of the leaf states that are active now;
    ``entered``, names of all states that ever were; ``taken``, the transitions, each as ``event: source -> targets``
    (`engine.macrosteps`).
    """

    statuses: Mapping[str, str] = {}
    active: Mapping[str, Collection[str]] = {}
    entered: Mapping[str, Collection[str]] = {}
    taken: Mapping[str, Collection[str]] = {}
    passes: Mapping[str, str] = {}


def state_status(name: str, active: Collection[str], entered: Collection[str]) -> str:
    """``active``: leaves and what they are inside of."""
    return ACTIVE if name in active else VISITED if name in entered else ""


def edge_mark(source: str, target: str, *, only: bool, free: bool) -> str:
    """What the statuses of its ends say of an edge. ``only``: no other leads to the target; ``free``: it has no
    condition. Of a target that may have been reached by another edge, this one is not said to be taken."""
    if target in _BEGUN and (only or (free and source == "success")):
        return TAKEN
    if source in _CAME_TO_NOTHING or (source == "success" and target == "skipped"):
        return DEAD
    return ""


def move_text(source: str, targets: Iterable[str]) -> str:
    """A transition's states, as `Progress.taken` writes them."""
    return f"{source} -> {', '.join(targets)}"


def events_by_move(taken: Iterable[str]) -> dict[str, set[str]]:
    """Which events moved a chart from where to where."""
    found: dict[str, set[str]] = {}
    for text in taken:
        event, _, move = text.rpartition(": ")
        found.setdefault(move, set()).add(event)
    return found


def taken_of(transitions: Sequence[TransitionPlan], events: Collection[str]) -> list[bool]:
    """Which of the transitions between the same states these events took: those that hear one; and those without
    events (timers, eventless), if there was an event that no other hears."""
    heard = [False] * len(transitions)
    by_themselves = False
    for event in events:
        hearing = [number for number, transition in enumerate(transitions) if _hears(transition, event)]
        by_themselves = by_themselves or not hearing
        for number in hearing:
            heard[number] = True
    return [heard[number] or (by_themselves and not transition.events) for number, transition in enumerate(transitions)]


def _hears(transition: TransitionPlan, event: str) -> bool:
    return any(matches(descriptor, event) for descriptor in transition.events)
