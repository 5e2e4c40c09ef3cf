"""Drawings of plans: Mermaid and Graphviz text, a list for the terminal, and SVG drawn here without other programs.

All of them render one `Picture` of a graph: nodes and arrows as people see them, without the compiler's hidden nodes;
or, of a workflow with a chart in it, one `Drawing`: states and nodes inside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from workflow_runtime.drawing import (
    chart_dot,
    chart_mermaid,
    chart_svg,
    chart_text,
    dot,
    mermaid,
    svg,
    text,
)
from workflow_runtime.drawing.chart import Drawing, drawing
from workflow_runtime.drawing.picture import Picture, picture
from workflow_runtime.plan.plan import Plan

FORMATS: dict[str, Callable[[Picture], str]] = {
    "mermaid": mermaid.draw,
    "dot": dot.draw,
    "svg": svg.draw,
    "text": text.draw,
}
_CHART_FORMATS: dict[str, Callable[[Drawing], str]] = {
    "mermaid": chart_mermaid.draw,
    "dot": chart_dot.draw,
    "svg": chart_svg.draw,
    "text": chart_text.draw,
}


def render(
    plan: Plan,
    format: str,
    statuses: Mapping[str, str] | None = None,
    current: Mapping[str, Collection[str]] | None = None,
) -> str:
    """The plan as a drawing, with how far an execution is as colours or marks. ``statuses``: of nodes by path;
    ``current``: names of active leaf states by the path of their chart, ``""`` for the one at the top.

    Raises `ValueError` for an unknown format.
    """
    if format not in FORMATS:
        raise ValueError(f"no graph format {format!r}; known are {', '.join(sorted(FORMATS))}")
    if plan.charts:
        return _CHART_FORMATS[format](drawing(plan, statuses or {}, current or {}))
    return FORMATS[format](picture(plan, statuses or {}))


__all__ = ["FORMATS", "render"]
