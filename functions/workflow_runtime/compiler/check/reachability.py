"""What can never be entered, taken or ended; and circles of transitions that nothing stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.charts import ancestors_of
from workflow_runtime.compiler.collect.graphs import ChartSource
from workflow_runtime.compiler.collect.states import TransitionSource, transitions_of
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.compiler.shape.walks import find_cycles
from workflow_runtime.plan.states import ROOT_STATE, StateKind


def warn_of_chart(chart: ChartSource, report: Report) -> None:
    """What can be entered and ended is only said of charts all of whose targets are known."""
    for state in chart.states:
        if state.definition is not None:
            _warn_of_covered(state.name, transitions_of(state.definition, state.place), report)
    if chart.is_whole and not _has_unclear_targets(chart, report):
        _warn_of_unreachable(chart, report)
        _warn_of_circles(chart, report)


def _has_unclear_targets(chart: ChartSource, report: Report) -> bool:
    """Whether it has been reported of this chart that some target may be meant to be another state."""
    inner = len(chart.place)
    wrong = (
        rules.UNKNOWN_STATE,
        rules.NEARLY_IMPLIED,
        rules.DUPLICATE_NAME,
        rules.NOT_INSIDE,
        rules.CONFLICTING_TARGETS,
    )
    return any(
        path[:inner] == chart.place and path[inner : inner + 1] in (("states",), ("initial_state",), ("final_states",))
        for path in report.places(*wrong)
    )


def _warn_of_unreachable(chart: ChartSource, report: Report) -> None:
    entered = _reachable(chart)
    for number, state in enumerate(chart.states):
        if number not in entered and state.parent in entered:  # what is inside of it goes without saying
            place = state.place if state.definition is None else (*state.place, "name")
            report.add(rules.UNREACHABLE_STATE, f"no transition leads to `{state.name}`", place)
    ends = (child for child in chart.states[ROOT_STATE].children if chart.states[child].kind is StateKind.FINAL)
    if entered.isdisjoint(ends):
        report.add(rules.NO_END, "no final state can be reached", (*chart.place, "states"))


def _reachable(chart: ChartSource) -> set[int]:
    """States that some chain of transitions enters, whatever their guards."""
    entered: set[int] = set()
    pending = [ROOT_STATE]
    while pending:
        state = pending.pop()
        if state in entered:
            continue
        entered.add(state)
        pending += _entered_with(chart, state)
        written = chart.states[state].definition
        for transition in transitions_of(written, chart.states[state].place) if written is not None else ():
            pending += _numbers(chart, transition.definition.targets)
    return entered


def _entered_with(chart: ChartSource, number: int) -> Iterator[int]:
    """What is entered because a state is: those around it, other regions, its default entry.

    That a compound state which is entered from outside may not take its default entry is not told apart: some
    transition that leads to it is missing then, too.
    """
    state = chart.states[number]
    if state.parent >= 0:
        yield state.parent
    if state.kind is StateKind.PARALLEL:
        yield from (child for child in state.children if not chart.states[child].is_history)
    written = state.definition
    if written is not None and state.is_history and written.default is not None:
        yield from _numbers(chart, written.default.targets)
    if state.start is not None and not state.is_history:
        yield from _numbers(chart, state.start.targets)


def _numbers(chart: ChartSource, names: Iterable[str]) -> list[int]:
    return [chart.index[name] for name in names if name in chart.index]


def _warn_of_covered(name: str, transitions: Iterable[TransitionSource], report: Report) -> None:
    """Transitions of a state whose every event an earlier one without condition takes."""
    taken: set[str] = set()
    always = False
    for transition in transitions:
        guarded = transition.definition.condition is not None
        if transition.events:
            if all(_covers(taken, event) for event in transition.events):
                shown = ", ".join(transition.events)
                message = f"an earlier transition of `{name}` without condition always takes `{shown}`"
                report.add(rules.NEVER_TAKEN, message, transition.place)
            elif not guarded:
                taken.update(transition.events)
        elif transition.after < 0:
            if always:
                message = f"an earlier `always` of `{name}` has no condition: this one is never taken"
                report.add(rules.NEVER_TAKEN, message, transition.place)
            always = always or not guarded


def _covers(taken: set[str], event: str) -> bool:
    """Whether some descriptor in ``taken`` matches all that ``event``, a descriptor itself, does."""
    if event in taken or "*" in taken:
        return True
    parts = event.removesuffix(".*").split(".")
    return event != "*" and any(f"{'.'.join(parts[:end])}.*" in taken for end in range(1, len(parts) + 1))


def _warn_of_circles(chart: ChartSource, report: Report) -> None:
    """Circles of `always` transitions that have no condition, none before them either."""
    firsts = {}
    for number, state in enumerate(chart.states):
        if state.definition is not None and state.definition.always and state.definition.always[0].condition is None:
            firsts[number] = state.definition.always[0]
    count = len(chart.states)
    leads: set[tuple[int, int]] = set()  # from a state to `count` plus its target, and from there to what is entered
    for number, transition in firsts.items():
        if not transition.targets:
            message = f"in `{chart.states[number].name}` this is taken again and again: it leads nowhere"
            hint = "Give it a condition or a target, or move its actions to `on_enter`."
            report.add(rules.ENDLESS, message, _always_place(chart, number), hint)
        leads.update((number, count + target) for target in _numbers(chart, transition.targets))
    for target in {target for _, target in leads}:
        leads.update((target, entered) for entered in _default_entry(chart, target - count) & firsts.keys())
    for circle in find_cycles(2 * count, leads):
        states = [number for number in circle if number < count]
        shown = " → ".join(chart.states[number].name for number in (*states, states[0]))
        message = f"these lead to each other without end: {shown}"
        report.add(rules.ENDLESS, message, _always_place(chart, states[0]), "Give one of the transitions a condition.")


def _always_place(chart: ChartSource, state: int) -> DocumentPath:
    return (*chart.states[state].place, "always", 0)


def _default_entry(chart: ChartSource, target: int) -> set[int]:
    """A state and what is entered inside of it by default."""
    entered: set[int] = set()
    pending = [target]
    while pending:
        state = pending.pop()
        if state not in entered:
            entered.add(state)
            above = set(ancestors_of(chart, state))
            pending += (inner for inner in _entered_with(chart, state) if inner not in above)
    return entered
