"""Every template and expression of a chart, the graphs inside it apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workflow_runtime.compiler.collect.formulas import ReadSite, Site, SiteKind, read_site
from workflow_runtime.compiler.collect.graphs import ChartSource
from workflow_runtime.compiler.collect.states import StateSource, action_blocks, transitions_of
from workflow_runtime.compiler.kinds import kind_of_action
from workflow_runtime.compiler.kinds.kind import values_at
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.charts.actions import ActionDefinition
from workflow_runtime.definition.charts.transitions import AfterDefinition
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.language.json_values import Json


def chart_sites(chart: ChartSource, report: Report) -> list[ReadSite]:
    """All sites of a chart, with the names that each reads."""
    return [read_site(site, report) for site in _sites(chart)]


def chart_outputs(chart: ChartSource) -> Json:
    """What the author says of the chart's output; `MISSING`: its variables.

    A node's list of fields picks from them, each by name.
    """
    written = chart.definition.outputs
    if not isinstance(chart.definition, NodeDefinition):
        return written
    if isinstance(written, tuple):
        return {name: f'${{variables["{name}"]}}' for name in written}
    return MISSING if written is None else written


def _sites(chart: ChartSource) -> Iterator[Site]:
    outputs = chart_outputs(chart)
    if outputs is not MISSING:
        yield _site((*chart.place, "outputs"), outputs, event=False)
    for state in chart.states:
        yield from _state_sites(state)


def _site(
    path: DocumentPath,
    value: Json,
    *,
    expression: bool = False,
    locals: frozenset[str] = frozenset(),
    event: bool = True,
) -> Site:
    return Site(kind=SiteKind.CHART, path=path, value=value, is_expression=expression, locals=locals, event=event)


def _state_sites(state: StateSource) -> Iterator[Site]:
    for place, actions, _ in action_blocks(state):
        yield from _action_sites(actions, place, frozenset())
    if state.definition is None:
        return
    for transition in transitions_of(state.definition, state.place):
        if transition.definition.condition is not None:
            yield _site((*transition.place, "condition"), transition.definition.condition, expression=True)
        if isinstance(transition.definition, AfterDefinition):
            for field in ("delay", "every"):
                value = getattr(transition.definition, field)
                if isinstance(value, str):
                    yield _site((*transition.place, field), value)
    if state.definition.output is not MISSING:
        yield _site((*state.place, "output"), state.definition.output)


def _action_sites(actions: Iterable[ActionDefinition], place: DocumentPath, names: frozenset[str]) -> Iterator[Site]:
    """``names``: those that the actions around these give."""
    for position, action in enumerate(actions):
        kind = kind_of_action(action)
        path = (*place, position)
        for field in kind.formulas:
            for inner, value in values_at(action, field):
                yield _site((*path, *inner), value, expression=field.is_expression, locals=names)
        for block in kind.blocks:
            yield from _action_sites(getattr(action, block), (*path, block), names | kind.gives(action))
