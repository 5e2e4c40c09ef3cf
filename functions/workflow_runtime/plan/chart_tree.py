"""Where the states of a chart stand to each other, computed once per plan."""

from __future__ import annotations

from workflow_runtime.plan.states import ROOT_STATE, StateKind, StatePlan


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
        "bits",  # the mask of itself alone
        "candidates",  # of atomic states: the transitions that it may take, its own and then outward
        "children",
        "composite",  # the states that are not atomic, as one mask
        "defaults",  # what is entered when nothing in it is asked for: a target each
        "depth",
        "domains",  # by identity of a transition: the states below its domain, once it was asked for
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
        self.bits = tuple(1 << number for number in range(count))
        self.domains: dict[int, int] = {}
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
