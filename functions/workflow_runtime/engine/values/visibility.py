"""What formulas see of the charts around them: variables by name, innermost chart first, and active states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec
from msgspec import UNSET

from workflow_runtime.engine.passes import Page
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import CHART_KINDS, BindingKind, Formula
from workflow_runtime.plan.plan import Plan


class Around(Protocol):
    """A scope around a place; of a chart, its variables, and the names of its states and of the active ones; of a pass
    of a loop, what that gives it."""

    def given(self, name: str) -> Json | Page: ...

    @property
    def variables(self) -> Mapping[str, Json] | None: ...

    @property
    def state_names(self) -> tuple[frozenset[str], frozenset[str]]: ...


class Seen(msgspec.Struct, frozen=True):
    """What formulas see of the charts around them.

    - ``names``: variables that they name
    - ``lacks``: one of the names is in no chart; it may be a workflow variable or input
    - ``states``: active ones
    """

    names: dict[str, Json] = {}
    states: frozenset[str] = frozenset()
    lacks: bool = False


NOTHING_SEEN = Seen()


def charts_seen(plan: Plan, around: Iterable[Around], formulas: tuple[Formula, ...]) -> Seen:
    """What ``formulas`` see from a place; ``around``: the scopes that it is in, innermost first."""
    formulas = tuple([formula for formula in formulas if formula.asks_charts])
    if not formulas:
        return NOTHING_SEEN
    charts = [(scope, variables) for scope in around if (variables := scope.variables) is not None]
    names: dict[str, Json] = {}
    states: frozenset[str] = frozenset()
    lacks = False
    for formula in formulas:
        for binding in formula.bindings:
            if binding.kind not in CHART_KINDS:
                continue
            if binding.kind is BindingKind.VARIABLES:
                if charts:
                    names[binding.name] = charts[0][1]
                continue
            for _, variables in charts:
                if binding.name in variables:
                    names[binding.name] = variables[binding.name]
                    break
            else:
                lacks = not plan.has_chart  # the chart at the top has taken over input and variables
        if formula.asks_states:
            states = active_states([chart for chart, _ in charts])
    return Seen(names, states, lacks)


def loops_seen(around: Iterable[Around], formulas: tuple[Formula, ...]) -> tuple[dict[str, Json], dict[str, Page]]:
    """What ``formulas`` see of the loops around a place: values by name, and where others are stored apart."""
    names = {binding.name for formula in formulas for binding in formula.bindings if binding.kind is BindingKind.LOOP}
    found: dict[str, Json] = {}
    pages: dict[str, Page] = {}
    for scope in around if names else ():
        for name in sorted(names):
            value = scope.given(name)
            if value is UNSET:
                continue
            names.discard(name)
            if isinstance(value, Page):
                pages[name] = value
            else:
                found[name] = value
    return found, pages


def active_states(charts: list[Around]) -> frozenset[str]:
    """Names of active states; a state of an inner chart hides one of the same name outside."""
    found: set[str] = set()
    for chart in reversed(charts):
        all_names, active = chart.state_names
        found -= all_names
        found |= active
    return frozenset(found)
