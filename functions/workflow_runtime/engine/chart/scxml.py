"""Which transitions a chart takes, and which states that exits and enters: the pure part of SCXML.

Source: https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation, on the indices of a `ChartPlan`; names of its
procedures stand in the docstrings. A *configuration* is the active states, the chart itself (state 0, always active)
excluded; *history* is what history states recorded, by their index. Guards, actions and events are the caller's.

A microstep is: `select`, `exit_set`, `recorded_history` (kept from then on), then `entry_set` with what remains active
and the history as it now is. Every function is total for legal configurations, and ends for any chart.

Two deliberate differences from the text of the algorithm. A state that is active is never entered again, nor its
regions by default: the text does both to states between a history state's parent and what is restored or entered by
default, when the transition comes from inside that parent. And a history state without a default has its parent's (not
the actions of it).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TypeAlias

import msgspec

from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.chart_tree import Tree
from workflow_runtime.plan.states import ROOT_STATE, StateKind, TransitionPlan

__all__ = [
    "Entry",
    "History",
    "Tree",
    "entry_set",
    "exit_set",
    "initial_entry",
    "is_done",
    "leaves",
    "recorded_history",
    "select",
]

History: TypeAlias = Mapping[int, Collection[int]]


class Entry(msgspec.Struct, frozen=True):
    """What is entered: ``states`` in entry order.

    - ``defaults``: by compound state (the chart too, at the start), its `initial`, whose actions run after its own
      ``on_enter``
    - ``history_defaults``: by parent, the default of a history state that had recorded nothing; its actions run after
      those. As in SCXML, they run only if that parent is among ``states``
    """

    states: list[int]
    defaults: dict[int, TransitionPlan]
    history_defaults: dict[int, TransitionPlan]


def leaves(chart: ChartPlan, configuration: Collection[int]) -> list[int]:
    """The active atomic states, in document order."""
    is_atomic = chart.tree.is_atomic
    return sorted([state for state in configuration if is_atomic[state]])


def select(
    chart: ChartPlan, configuration: Collection[int], enabled: Callable[[TransitionPlan], bool], history: History
) -> list[TransitionPlan]:
    """The transitions to take together: per active atomic state the first enabled one, inner states first, then
    document order; less those that conflict with another (selectTransitions, removeConflictingTransitions).

    ``enabled`` is asked lazily, and at most once per transition.
    """
    candidates = chart.tree.candidates
    active = leaves(chart, configuration)
    if len(active) == 1:
        for transition in candidates[active[0]]:
            if enabled(transition):
                return [transition]
        return []
    verdicts: dict[int, bool] = {}
    found: dict[int, TransitionPlan] = {}
    for leaf in active:
        for transition in candidates[leaf]:
            key = id(transition)
            verdict = verdicts.get(key)
            if verdict is None:
                verdict = verdicts[key] = enabled(transition)
            if verdict:
                found[key] = transition
                break
    chosen = list(found.values())
    return chosen if len(chosen) < 2 else _without_conflicts(chart, configuration, chosen, history)


def _without_conflicts(
    chart: ChartPlan, configuration: Collection[int], chosen: list[TransitionPlan], history: History
) -> list[TransitionPlan]:
    """Of two transitions that exit a state both, the one from inside the other's source stays, else the earlier."""
    all_exits = _exits(chart, chosen, _mask(chart, configuration), history)
    if sum(all_exits) == reduce(or_, all_exits):  # a bit that two of them had would count twice: none has a rival
        return chosen
    above = chart.tree.above
    kept: list[tuple[TransitionPlan, int]] = []
    exited = 0  # by any of those that are or were kept: who exits none of it has no rival
    for transition, exits in zip(chosen, all_exits, strict=True):
        if exits & exited:
            rivals = [other for other, theirs in kept if exits & theirs]
            if not all(above[transition.source] >> rival.source & 1 for rival in rivals):
                continue
            kept = [pair for pair in kept if not exits & pair[1]]
        kept.append((transition, exits))
        exited |= exits
    return [transition for transition, _ in kept]


def exit_set(
    chart: ChartPlan, configuration: Collection[int], transitions: Sequence[TransitionPlan], history: History
) -> list[int]:
    """The active states that these transitions exit, in exit order: inner states first, else reverse document order
    (computeExitSet). ``history`` is that before the exit.
    """
    found = _states(reduce(or_, _exits(chart, transitions, _mask(chart, configuration), history), 0))
    found.reverse()
    return found


def _exits(chart: ChartPlan, transitions: Sequence[TransitionPlan], active: int, history: History) -> list[int]:
    """Per transition the mask of what it exits: all that is active below its domain, the innermost compound state (or
    the chart) that holds its source and all it leads to (getTransitionDomain, findLCCA). Nothing if it has no targets.

    The domain is a proper ancestor of the source, or the source itself if the transition is internal.
    """
    tree = chart.tree
    if tree.history:  # where a transition leads to is another thing each time
        return [active & _domain(chart, transition, history) for transition in transitions]
    domains = tree.domains
    try:
        return [active & domains[id(transition)] for transition in transitions]
    except KeyError:  # of some that nobody has asked for
        domains.update({id(transition): _domain(chart, transition, history) for transition in transitions})
        return [active & domains[id(transition)] for transition in transitions]


def _domain(chart: ChartPlan, transition: TransitionPlan, history: History) -> int:
    """The mask of what is below a transition's domain; nothing is, of one without targets."""
    if not transition.targets:
        return 0
    tree, source = chart.tree, transition.source
    common = tree.scopes[source]
    if transition.internal and chart.states[source].kind is StateKind.COMPOUND:
        common |= 1 << source
    for target in _effective(chart, transition.targets, history, {}):
        common &= tree.above[target]
    return tree.below[common.bit_length() - 1 if common else ROOT_STATE]


def recorded_history(chart: ChartPlan, configuration: Collection[int], exiting: Iterable[int]) -> dict[int, list[int]]:
    """What the history states of exited states remember, in document order, by history state (exitStates).

    Shallow: the active children of its parent; deep: the active atomic states in it. ``configuration`` is that before
    the exit.
    """
    tree = chart.tree
    found: dict[int, list[int]] = {}
    if tree.history:
        active = _mask(chart, configuration)
        for state in exiting:
            for history in tree.histories[state]:
                if chart.states[history].kind is StateKind.DEEP_HISTORY:
                    found[history] = _states(active & tree.leaves[state])
                else:
                    found[history] = [child for child in tree.children[state] if active >> child & 1]
    return found


def entry_set(
    chart: ChartPlan, transitions: Iterable[TransitionPlan], configuration_after_exit: Collection[int], history: History
) -> Entry:
    """What these transitions enter (computeEntrySet). ``history`` is that after the exit.

    Once the domains' insides were exited, what lies between a domain and a target is exactly the target's inactive
    ancestors: so they are what is entered on the way, and the domains need not be known here.
    """
    lineage, has_history = chart.tree.lineage, chart.tree.history
    wanted = 0
    history_defaults: dict[int, TransitionPlan] = {}
    for transition in transitions:
        targets: Collection[int] = transition.targets
        if has_history:
            targets = _effective(chart, targets, history, history_defaults)
        for target in targets:
            wanted |= lineage[target]
    wanted &= ~(_mask(chart, configuration_after_exit) | 1 << ROOT_STATE)
    return _complete(chart, wanted, history, history_defaults)


def initial_entry(chart: ChartPlan) -> Entry:
    """What is entered at the start. The chart itself is not among the states, but its `initial` among the defaults."""
    return _complete(chart, 1 << ROOT_STATE, {}, {})


def _complete(chart: ChartPlan, wanted: int, history: History, history_defaults: dict[int, TransitionPlan]) -> Entry:
    """Adds what wanted states need inside: a compound state one child, a parallel state all of them
    (addDescendantStatesToEnter, addAncestorStatesToEnter).

    Outer states come first and add only what is below them, so that every state is looked at once, when all that
    targets and outer states want in it is known.
    """
    tree = chart.tree
    defaults: dict[int, TransitionPlan] = {}
    pending = wanted & tree.composite
    while pending:
        lowest = pending & -pending
        state = lowest.bit_length() - 1
        added = 0
        if chart.states[state].kind is StateKind.PARALLEL:
            for child in tree.children[state]:
                added |= 1 << child
        elif not wanted & tree.below[state]:
            for target in _effective(chart, tree.defaults[state], history, history_defaults):
                added |= tree.lineage[target]
            added &= tree.below[state]
            initial = chart.states[state].initial
            if initial is not None:
                defaults[state] = initial
        wanted |= added
        pending = (pending | added & tree.composite) ^ lowest
    return Entry(_states(wanted & ~(1 << ROOT_STATE)), defaults, history_defaults)


def _effective(
    chart: ChartPlan, targets: Collection[int], history: History, history_defaults: dict[int, TransitionPlan]
) -> Collection[int]:
    """Targets with what they stand for in place of history states: what was recorded, else the default, which is noted
    in ``history_defaults`` (getEffectiveTargetStates).
    """
    tree = chart.tree
    if not tree.history:
        return targets
    found: list[int] = []
    pending, seen = list(targets), 0
    while pending:
        target = pending.pop()
        if not tree.history >> target & 1:
            found.append(target)
        elif recorded := history.get(target):
            found += recorded
        elif not seen >> target & 1:
            seen |= 1 << target
            state = chart.states[target]
            if state.initial is not None:
                history_defaults[state.parent] = state.initial
            pending += tree.defaults[target]
    return found


def is_done(chart: ChartPlan, state: int, configuration: Collection[int]) -> bool:
    """Whether a compound state (or the chart) is in a final child, or a parallel state in all its regions
    (isInFinalState).
    """
    plan, children = chart.states[state], chart.tree.children[state]
    if plan.kind is StateKind.PARALLEL:
        return all(is_done(chart, child, configuration) for child in children)
    return any(chart.states[child].kind is StateKind.FINAL and child in configuration for child in children)


def _mask(chart: ChartPlan, states: Collection[int]) -> int:
    """The mask of states, each of which is there once."""
    return sum(map(chart.tree.bits.__getitem__, states))


def _states(mask: int) -> list[int]:
    """The states of a mask, in document order."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found
