"""What formulas see of the charts around them: variables by name, innermost chart first, and active states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import BindingKind, Formula

if TYPE_CHECKING:
    from workflow_runtime.engine.machine_scope import MachineScope
    from workflow_runtime.engine.turn import Turn


class Seen(msgspec.Struct, frozen=True):
    """``names``: variables that the formulas name. ``lacks``: one of the names is in no chart; it may be workflow
    variable or input. ``states``: active ones."""

    names: dict[str, Json] = {}
    states: frozenset[str] = frozenset()
    lacks: bool = False


NOTHING_SEEN = Seen()
_CHART_KINDS = frozenset({BindingKind.SCOPED, BindingKind.VARIABLES})


def charts_around(turn: Turn, machine: MachineScope | None) -> Iterator[MachineScope]:
    """The charts that enclose a place, innermost first; those of a root graph include the chart at the top."""
    while machine is not None:
        yield machine
        machine = machine.outer.machine if machine.outer is not None else None
    top = turn.machines.get(0) if turn.plan.has_chart else None
    if top is not None:
        yield top


def charts_seen(turn: Turn, machine: MachineScope | None, formulas: tuple[Formula, ...]) -> Seen:
    """What ``formulas`` see from a place inside ``machine``."""
    if not turn.plan.charts:
        return NOTHING_SEEN
    names: dict[str, Json] = {}
    states: frozenset[str] = frozenset()
    lacks = False
    around = list(dict.fromkeys(charts_around(turn, machine)))
    for formula in formulas:
        for binding in formula.bindings:
            if binding.kind not in _CHART_KINDS:
                continue
            if binding.kind is BindingKind.VARIABLES:
                if around:
                    names[binding.name] = around[0].machine.variables
                continue
            holder = next((chart for chart in around if binding.name in chart.machine.variables), None)
            if holder is not None:
                names[binding.name] = holder.machine.variables[binding.name]
            else:
                lacks = not turn.plan.has_chart  # the chart at the top has taken over input and variables
        if formula.asks_states:
            states = active_states(around)
    return Seen(names, states, lacks)


def active_states(around: list[MachineScope]) -> frozenset[str]:
    """Names of active states; a state of an inner chart hides one of the same name outside."""
    found: set[str] = set()
    for chart in reversed(around):
        found -= chart.chart.index.keys()
        found |= {chart.chart.states[state].name for state in chart.machine.configuration}
    return frozenset(found)
