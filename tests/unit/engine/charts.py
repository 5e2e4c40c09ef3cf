"""Charts written as nested calls, for tests of the pure statechart functions.

``on("go", "b")`` is a transition; ``state("a", state("a1"), on=[on("go", "b")])`` a state; `chart` gives the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from workflow_runtime.engine.chart.scxml import Entry, entry_set, exit_set, initial_entry, recorded_history
from workflow_runtime.engine.chart.scxml import select as select_transitions
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.events import matches
from workflow_runtime.plan.states import StateKind, StatePlan, TransitionPlan

HISTORY = {StateKind.SHALLOW_HISTORY, StateKind.DEEP_HISTORY}


@dataclass(frozen=True)
class On:
    event: str
    targets: tuple[str, ...]
    internal: bool = False


@dataclass(frozen=True)
class State:
    name: str
    children: tuple[State, ...]
    kind: StateKind
    initial: tuple[str, ...]
    on: tuple[On, ...] = ()

    def walk(self) -> Iterator[State]:
        yield self
        for child in self.children:
            yield from child.walk()


def on(event: str, *targets: str, internal: bool = False) -> On:
    return On(event, targets, internal)


def state(name: str, *children: State, initial: str = "", on: Collection[On] = ()) -> State:
    """An atomic or compound state; ``initial``: names, the first child's if it is left out."""
    plain = [child.name for child in children if child.kind not in HISTORY]
    names = tuple(initial.split()) or tuple(plain[:1])
    return State(name, children, StateKind.COMPOUND if children else StateKind.ATOMIC, names, tuple(on))


def parallel(name: str, *children: State, on: Collection[On] = ()) -> State:
    return State(name, children, StateKind.PARALLEL, (), tuple(on))


def final(name: str) -> State:
    return State(name, (), StateKind.FINAL, ())


def shallow(name: str, default: str = "") -> State:
    return State(name, (), StateKind.SHALLOW_HISTORY, tuple(default.split()))


def deep(name: str, default: str = "") -> State:
    return State(name, (), StateKind.DEEP_HISTORY, tuple(default.split()))


def chart(*states: State, initial: str = "", on: Collection[On] = ()) -> ChartPlan:
    """The plan of a chart with these top states."""
    found = list(state("", *states, initial=initial, on=on).walk())
    number = {item.name: place for place, item in enumerate(found)}
    parents = {child.name: number[item.name] for item in found for child in item.children}

    def transition(source: State, event: str, targets: Collection[str], internal: bool = False) -> TransitionPlan:
        return TransitionPlan(number[source.name], (event,) if event else (), -1, None,
                              tuple(number[name] for name in targets), internal)  # fmt: skip

    return ChartPlan(
        tuple(
            StatePlan(
                name=item.name or "chart",
                kind=item.kind,
                parent=parents.get(item.name, -1),
                children=tuple(number[child.name] for child in item.children),
                initial=transition(item, "", item.initial) if item.initial else None,
                transitions=tuple(transition(item, arc.event, arc.targets, arc.internal) for arc in item.on),
            )
            for item in found
        )
    )


@dataclass
class Walk:
    """A chart on its way: the configuration after each microstep, by names."""

    plan: ChartPlan
    configuration: list[int] = field(default_factory=list)
    history: dict[int, list[int]] = field(default_factory=dict)
    exited: list[str] = field(default_factory=list)
    entry: Entry = field(default_factory=lambda: Entry([], {}, {}))
    enabled: Callable[[TransitionPlan], bool] = lambda _: True

    def __post_init__(self) -> None:
        self.entry = initial_entry(self.plan)
        self.configuration = list(self.entry.states)

    def names(self, states: Collection[int]) -> list[str]:
        return [self.plan.states[number].name for number in states]

    @property
    def active(self) -> str:
        return " ".join(self.names(self.configuration))

    @property
    def entered(self) -> list[str]:
        return self.names(self.entry.states)

    def send(self, event: str) -> list[str]:
        """Take one microstep of an event; returns the sources of the transitions taken."""
        taken = self.choose(event)
        self.take(taken)
        return self.names([transition.source for transition in taken])

    def choose(self, event: str) -> list[TransitionPlan]:
        def enabled(transition: TransitionPlan) -> bool:
            return any(matches(descriptor, event) for descriptor in transition.events) and self.enabled(transition)

        return select_transitions(self.plan, self.configuration, enabled, self.history)

    def take(self, taken: list[TransitionPlan]) -> None:
        exiting = exit_set(self.plan, self.configuration, taken, self.history)
        self.history |= recorded_history(self.plan, self.configuration, exiting)
        self.exited = self.names(exiting)
        rest = [number for number in self.configuration if number not in exiting]
        self.entry = entry_set(self.plan, taken, rest, self.history)
        self.configuration = sorted([*rest, *self.entry.states])
