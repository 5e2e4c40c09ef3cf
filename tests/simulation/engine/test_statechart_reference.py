"""Random charts against the W3C's pseudo-code, copied out naively (https://www.w3.org/TR/scxml/, appendix D)."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.engine.charts import HISTORY, On, State, Walk, chart

from workflow_runtime.engine.chart.scxml import is_done
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.states import StateKind, TransitionPlan


class Reference:
    """The algorithm's procedures by their names, on lists and sets."""

    def __init__(self, plan: ChartPlan) -> None:
        self.states = plan.states
        self.configuration: set[int] = set()
        self.history: dict[int, list[int]] = {}
        self.to_enter: set[int] = set()
        self.default_entry: set[int] = set()
        self.default_history: dict[int, TransitionPlan] = {}

    def is_compound(self, s: int) -> bool:
        return self.states[s].kind is StateKind.COMPOUND

    def is_parallel(self, s: int) -> bool:
        return self.states[s].kind is StateKind.PARALLEL

    def is_atomic(self, s: int) -> bool:
        return self.states[s].kind in {StateKind.ATOMIC, StateKind.FINAL}

    def children(self, s: int) -> list[int]:
        return [child for child in self.states[s].children if self.states[child].kind not in HISTORY]

    def proper_ancestors(self, s: int, end: int | None) -> list[int]:
        found = []
        while (s := self.states[s].parent) >= 0 and s != end:
            found.append(s)
        return found

    def is_descendant(self, s1: int, s2: int) -> bool:
        return s2 in self.proper_ancestors(s1, None)

    def default(self, s: int) -> TransitionPlan:
        initial = self.states[s].initial
        assert initial is not None
        return initial

    def select(self, enabled: Callable[[TransitionPlan], bool]) -> list[TransitionPlan]:
        chosen: list[TransitionPlan] = []
        for atomic in sorted(filter(self.is_atomic, self.configuration)):
            line = (atomic, *self.proper_ancestors(atomic, None))
            found = [t for s in line for t in self.states[s].transitions if enabled(t)]
            chosen += [t for t in found[:1] if not any(t is other for other in chosen)]
        return self.remove_conflicting(chosen)

    def remove_conflicting(self, chosen: list[TransitionPlan]) -> list[TransitionPlan]:
        kept: list[TransitionPlan] = []
        for t1 in chosen:
            preempted, to_remove = False, []
            for t2 in kept:
                if self.exit_set([t1]) & self.exit_set([t2]):
                    if self.is_descendant(t1.source, t2.source):
                        to_remove.append(t2)
                    else:
                        preempted = True
                        break
            if not preempted:
                kept = [t for t in kept if not any(t is other for other in to_remove)] + [t1]
        return kept

    def exit_set(self, transitions: list[TransitionPlan]) -> set[int]:
        found = set()
        for t in transitions:
            if t.targets:
                domain = self.domain(t)
                found |= {s for s in self.configuration if self.is_descendant(s, domain)}
        return found

    def effective(self, t: TransitionPlan) -> list[int]:
        found: list[int] = []
        for s in t.targets:
            if self.states[s].kind in HISTORY:
                found += self.history.get(s) or self.effective(self.default(s))
            else:
                found.append(s)
        return found

    def domain(self, t: TransitionPlan) -> int:
        targets = self.effective(t)
        if t.internal and self.is_compound(t.source) and all(self.is_descendant(s, t.source) for s in targets):
            return t.source
        for ancestor in self.proper_ancestors(t.source, None):
            if self.is_compound(ancestor) and all(self.is_descendant(s, ancestor) for s in targets):
                return ancestor
        return 0

    def exit(self, transitions: list[TransitionPlan]) -> list[int]:
        exiting = sorted(self.exit_set(transitions), reverse=True)
        before = sorted(self.configuration)
        for s in exiting:
            for h in self.states[s].children:
                if self.states[h].kind is StateKind.DEEP_HISTORY:
                    self.history[h] = [s0 for s0 in before if self.is_atomic(s0) and self.is_descendant(s0, s)]
                elif self.states[h].kind is StateKind.SHALLOW_HISTORY:
                    self.history[h] = [s0 for s0 in before if self.states[s0].parent == s]
        self.configuration -= set(exiting)
        return exiting

    def enter(self, transitions: list[TransitionPlan]) -> list[int]:
        self.to_enter, self.default_entry, self.default_history = set(), set(), {}
        for t in transitions:
            for s in t.targets:
                self.add_descendants(s)
            if t.targets:
                domain = self.domain(t)
                for s in self.effective(t):
                    self.add_ancestors(s, domain)
        return sorted(self.to_enter)

    def add_descendants(self, s: int) -> None:
        if self.states[s].kind in HISTORY:
            if not self.history.get(s):
                self.default_history[self.states[s].parent] = self.default(s)
            targets = self.history.get(s) or self.default(s).targets
            for target in targets:
                self.add_descendants(target)
            for target in targets:
                self.add_ancestors(target, self.states[s].parent)
            return
        self.to_enter.add(s)
        if self.is_compound(s):
            self.default_entry.add(s)
            for target in self.default(s).targets:
                self.add_descendants(target)
            for target in self.default(s).targets:
                self.add_ancestors(target, s)
        elif self.is_parallel(s):
            self.add_regions(s)

    def add_ancestors(self, s: int, end: int) -> None:
        for ancestor in self.proper_ancestors(s, end):
            self.to_enter.add(ancestor)
            if self.is_parallel(ancestor):
                self.add_regions(ancestor)

    def add_regions(self, s: int) -> None:
        for child in self.children(s):
            if not any(self.is_descendant(other, child) for other in self.to_enter):
                self.add_descendants(child)

    def is_in_final_state(self, s: int) -> bool:
        if self.is_compound(s):
            finals = [child for child in self.children(s) if self.states[child].kind is StateKind.FINAL]
            return any(child in self.configuration for child in finals)
        return self.is_parallel(s) and all(map(self.is_in_final_state, self.children(s)))

    def assert_legal(self) -> None:
        for s in (0, *self.configuration):
            active = [child for child in self.children(s) if child in self.configuration]
            assert s == 0 or self.states[s].parent in {0, *self.configuration}
            if not self.is_atomic(s):
                assert len(active) == (len(self.children(s)) if self.is_parallel(s) else 1)


def draw_chart(draw: st.DrawFn) -> ChartPlan:
    """A legal chart of at most some 40 states: defaults inside their parents, several targets in different regions."""
    count = 0

    def shape(depth: int) -> State:
        nonlocal count
        count += 1
        name = f"s{count}"
        if depth == 0 or not draw(st.booleans()):
            return State(name, (), draw(st.sampled_from([StateKind.ATOMIC, StateKind.ATOMIC, StateKind.FINAL])), ())
        kind = draw(st.sampled_from([StateKind.COMPOUND, StateKind.PARALLEL]))
        inside = [shape(depth - 1) for _ in range(draw(st.integers(1, 3)))]
        for history in draw(st.lists(st.sampled_from(sorted(HISTORY)), max_size=2)):
            count += 1
            inside.insert(0, State(f"s{count}", (), history, ()))
        return State(name, tuple(inside), kind, ())

    def targets(inside: State, history: bool) -> tuple[str, ...]:
        """One state below this one, or one in each of some regions of one parallel state."""
        below = [s for s in inside.walk() if s is not inside and (history or s.kind not in HISTORY)]
        chosen = draw(st.sampled_from(below))
        if chosen.kind is StateKind.PARALLEL and draw(st.booleans()):
            regions = [s for s in chosen.children if s.kind not in HISTORY]
            return tuple(
                draw(st.sampled_from([s for s in region.walk() if history or s.kind not in HISTORY])).name
                for region in draw(st.lists(st.sampled_from(regions), min_size=1, unique_by=id))
            )
        return (chosen.name,)

    def finish(item: State, parent: State, top: State) -> State:
        initial: tuple[str, ...] = ()
        if item.kind is StateKind.COMPOUND:
            initial = targets(item, history=True)
        elif item.kind in HISTORY:
            initial = targets(parent, history=False)
        arcs = []
        if item.kind not in {*HISTORY, StateKind.FINAL}:
            for _ in range(draw(st.integers(0, 2))):
                goal = targets(top, history=True) if draw(st.integers(0, 7)) else ()
                arcs.append(On("e", goal, draw(st.booleans())))
        return State(item.name, tuple(finish(c, item, top) for c in item.children), item.kind, initial, tuple(arcs))

    top = State("", tuple(shape(3) for _ in range(draw(st.integers(1, 3)))), StateKind.COMPOUND, ())
    done = finish(top, top, top)
    return chart(*done.children, initial=" ".join(done.initial), on=done.on)


@settings(max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_charts_move_as_the_standards_algorithm_says(data: st.DataObject) -> None:
    plan = data.draw(st.composite(draw_chart)())
    walk, reference = Walk(plan), Reference(plan)
    assert walk.entry.states == reference.enter([reference.default(0)])
    assert walk.entry.defaults == {s: reference.default(s) for s in (0, *reference.default_entry)}
    assert walk.entry.history_defaults == reference.default_history
    reference.configuration = set(walk.configuration)
    arcs = [t for s in plan.states for t in s.transitions]
    for _ in range(6):
        disabled = {id(t) for t in data.draw(st.lists(st.sampled_from(arcs), max_size=8))} if arcs else set()
        walk_one(walk, reference, disabled)


def walk_one(walk: Walk, reference: Reference, disabled: set[int]) -> None:
    taken = reference.select(lambda t: id(t) not in disabled)
    walk.enabled = lambda t: id(t) not in disabled
    chosen = walk.choose("e")
    assert list(map(id, chosen)) == list(map(id, taken))
    exited = reference.exit(taken)
    walk.take(chosen)
    assert walk.exited == walk.names(exited)
    assert walk.history == reference.history
    entered = reference.enter(taken)
    after = {0, *reference.configuration, *entered}
    is_whole = all(walk.plan.states[state].parent in after for state in entered)
    # else the standard enters an active state again, or enters from further inside than it exited, by what history
    # has recorded in between
    if is_whole and not reference.configuration.intersection(entered):
        assert walk.entry.states == entered
        assert walk.entry.defaults == {s: reference.default(s) for s in reference.default_entry}
        assert walk.entry.history_defaults == reference.default_history
    reference.configuration = set(walk.configuration)
    reference.assert_legal()
    for s in (0, *reference.configuration):
        assert is_done(walk.plan, s, walk.configuration) == reference.is_in_final_state(s)
