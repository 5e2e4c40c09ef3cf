"""What is wrong with the names, places and shapes of a chart; of one that could not all be read, only what is sure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.formulas import Site
from workflow_runtime.compiler.collect.graphs import ChartSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.collect.states import StateSource, action_blocks, nested_actions, transitions_of
from workflow_runtime.compiler.names.bindings import Bound
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.charts.actions import (
    ActionDefinition,
    CallActionDefinition,
    ForEachActionDefinition,
)
from workflow_runtime.language.json_values import walk_texts
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.templates import enclosed_in
from workflow_runtime.plan.states import ROOT_STATE, StateKind

_CALL = re.compile(r"""\bin_state\s*\((?:\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*\))?""")

STATES_MAX = 10_000  # as many as nodes; every state costs about as much as one


def check_chart(chart: ChartSource, report: Report) -> None:
    """Everything but what can be reached (see `reach`)."""
    _check_names(chart, report)
    for number, state in enumerate(chart.states):
        if state.kind is StateKind.FINAL:
            _check_final(state, report)
        elif state.is_history:
            _check_history(chart, state, report)
        _check_starts(chart, number, state, report)
        for place, actions, _ in action_blocks(state):
            _check_loops(actions, place, report)


def check_paths(sources: Sources, report: Report) -> None:
    """A node at the top and a state at the top, or its call, would have the same path."""
    if not sources.has_chart:
        return
    graph, chart = sources.graphs[0], sources.charts[0]
    for number, state in enumerate(chart.states):
        if number and state.name in graph.index:
            report.add(rules.PATH_CLASH, f"a node is called `{state.name}`, too", _name_place(state))


def _check_names(chart: ChartSource, report: Report) -> None:
    declared = {state.name for state in chart.states if state.definition is not None}
    folded = {name.casefold(): name for name in declared}
    for number, state in enumerate(chart.states):
        if not number or not state.name:
            continue
        if state.definition is None:
            near = folded.get(state.name.casefold())
            if near is not None and chart.is_whole:
                message = f"the final state `{state.name}` is implied here, and a state `{near}` is declared"
                report.add(rules.NEARLY_IMPLIED, message, state.place)
        elif chart.index[state.name] != number:
            report.add(rules.DUPLICATE_NAME, f"another state is already called `{state.name}`", _name_place(state))
    for position, name in enumerate(chart.definition.final_states):
        found = chart.index.get(name)
        if found is not None and chart.states[found].parent != ROOT_STATE:
            message = f"`{name}` is inside `{chart.states[chart.states[found].parent].name}`: it does not end the chart"
            hint = "Give it `type: final` there, and remove it here."
            report.add(rules.FINAL_STATE, message, (*chart.place, "final_states", position), hint)


def _check_final(state: StateSource, report: Report) -> None:
    written = state.definition
    if written is None:
        return
    fields = ("transitions", "always", "after", "on_done", "on_error", "states", "run")
    for field in fields:
        if getattr(written, field):
            message = f"the final state `{state.name}` cannot have `{field}`: nothing happens after it"
            hint = "Remove it, or do not make this a final state."
            report.add(rules.FINAL_STATE, message, (*state.place, field), hint)


def _check_history(chart: ChartSource, state: StateSource, report: Report) -> None:
    written = state.definition
    if written is None:
        return
    if state.parent == ROOT_STATE:
        message = f"`{state.name}` is at the top of its chart, which is never left: it has nothing to remember"
        report.add(rules.HISTORY_STATE, message, _name_place(state), "Put it among the states that it remembers.")
        return
    fields = ("on_enter", "on_exit", "transitions", "always", "after", "on_done", "on_error", "states", "run")
    for field in fields:
        if getattr(written, field):
            message = f"the history state `{state.name}` cannot have `{field}`: one is never in it"
            report.add(
                rules.HISTORY_STATE, message, (*state.place, field), "Put it into the states that it stands for."
            )
    parent = chart.states[state.parent]
    if written.default is None and parent.start is not None and state.name in parent.start.targets:
        message = f"`{state.name}` needs a `default`: `{parent.name}` starts with it, when there is nothing to remember"
        report.add(rules.HISTORY_STATE, message, _name_place(state), "Add `default: <state>`.")


def _check_starts(chart: ChartSource, number: int, state: StateSource, report: Report) -> None:
    """All targets of a state: of its transitions, its default entry and, for a history state, its default."""
    written = state.definition
    if written is not None:
        for transition in transitions_of(written, state.place):
            _check_targets(chart, transition.definition.targets, transition.place, report)
        if written.default is not None and state.is_history:
            place = (*state.place, "default")
            for position, target in _check_targets(chart, written.default.targets, place, report):
                inside = chart.states[target].parent == state.parent
                if state.kind is StateKind.DEEP_HISTORY:
                    inside = is_inside(chart, target, state.parent)
                if not inside or chart.states[target].is_history:
                    message = f"`{chart.states[target].name}` is not a state that `{state.name}` can remember"
                    report.add(rules.NOT_INSIDE, message, (*place, "targets", position))
    if state.start is not None and not state.is_history:
        place = (*state.place, "initial_state" if written is None else "initial")
        for position, target in _check_targets(chart, state.start.targets, place, report):
            if number and not is_inside(chart, target, number):
                message = f"`{chart.states[target].name}` is not inside `{state.name}`"
                report.add(rules.NOT_INSIDE, message, (*place, "targets", position))


def _check_targets(
    chart: ChartSource, names: tuple[str, ...], place: DocumentPath, report: Report
) -> Iterator[tuple[int, int]]:
    """Reports names without state and states that cannot be active together; yields positions and states."""
    found: list[tuple[int, int]] = []
    for position, name in enumerate(names):
        target = chart.index.get(name)
        if target is not None:
            found.append((position, target))
        elif name and not chart.hides_states:
            _tell_unknown(name, (*place, "targets", position), chart.index, report)
    for position, one, other in _conflicts(chart, found):
        first, second = chart.states[one].name, chart.states[other].name
        message = f"`{first}` is named twice" if one == other else f"`{first}` and `{second}` cannot be active together"
        report.add(rules.CONFLICTING_TARGETS, message, (*place, "targets", position))
    return iter(found)


def _tell_unknown(name: str, place: DocumentPath, known: Iterable[str], report: Report) -> None:
    report.add(rules.UNKNOWN_STATE, f"there is no state `{name}`", place, report.suggest(name, known))


def _check_loops(actions: Iterable[ActionDefinition], place: DocumentPath, report: Report) -> None:
    for action, path in nested_actions(actions, place):
        if isinstance(action, ForEachActionDefinition):
            for inner, inner_path in nested_actions(action.do, (*path, "do")):
                if isinstance(inner, CallActionDefinition):
                    message = f"the {inner.kind} `{inner.target}` cannot be called inside `for_each`"
                    report.add(rules.CALL_IN_LOOP, message, inner_path)


def _name_place(state: StateSource) -> DocumentPath:
    return state.place if state.definition is None else (*state.place, "name")


def is_inside(chart: ChartSource, state: int, outer: int) -> bool:
    """Whether a state is a proper descendant of another."""
    return outer in ancestors_of(chart, state)


def ancestors_of(chart: ChartSource, state: int) -> list[int]:
    """Its parent first, the chart itself last."""
    found = []
    while chart.states[state].parent >= 0:
        state = chart.states[state].parent
        found.append(state)
    return found


def _conflicts(chart: ChartSource, targets: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Targets (with their positions) that do not lie in different regions from all before, and one they exclude."""
    ends: set[int] = set()
    through: dict[int, tuple[int, int]] = {}  # a state above targets: its child on the way to one of them, and that one
    for position, target in targets:
        other = target if target in ends else through[target][1] if target in through else None
        child = target
        for above in ancestors_of(chart, target):
            if other is None and above in ends:
                other = above
            known = through.setdefault(above, (child, target))
            if other is None and known[0] != child and chart.states[above].kind is not StateKind.PARALLEL:
                other = known[1]
            child = above
        ends.add(target)
        if other is not None:
            yield position, other, target


def check_states_asked(bound: Iterable[Bound], sources: Sources, report: Report) -> None:
    """Names that are not fixed are not checked. What a worker evaluates knows no states."""
    for item in bound:
        numbers = item.place.charts
        for path, name in _asked(item.site) if item.may_ask_states else ():
            if not numbers or item.site.in_worker:
                where = "in a worker" if numbers else "outside of charts"
                hint = "Use it in a guard, in an action, or in the `when` of a node."
                report.add(rules.NOT_HERE, f"`in_state` cannot be evaluated {where}", path, hint)
                continue
            charts = [sources.charts[number] for number in numbers]
            if name and not any(chart.hides_states or normalized(name) in chart.index for chart in charts):
                _tell_unknown(name, path, (known for chart in charts for known in chart.index), report)


def _asked(site: Site) -> Iterator[tuple[DocumentPath, str]]:
    """The calls of ``in_state`` and the fixed names in them; a name that is computed is empty."""
    for path, text in walk_texts(site.value, site.path):
        if "in_state" not in text:
            continue
        stretches = [(0, len(text))] if site.is_expression else enclosed_in(text)
        for call in _CALL.finditer(text):
            if any(start <= call.start() < end for start, end in stretches):
                yield path, call[1] or call[2] or ""
