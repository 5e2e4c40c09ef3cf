"""Drawings of plans: Mermaid and Graphviz text, a list for the terminal, and SVG drawn here without other programs.

All of them render one `Picture`: nodes and arrows as people see them, without the compiler's hidden nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from workflow_runtime.compiler.graphs import dot, mermaid, svg, text
from workflow_runtime.compiler.graphs.picture import Picture, picture
from workflow_runtime.plan import Plan

FORMATS: dict[str, Callable[[Picture], str]] = {
    "mermaid": mermaid.draw,
    "dot": dot.draw,
    "svg": svg.draw,
    "text": text.draw,
}


def render(plan: Plan, format: str, statuses: Mapping[str, str] | None = None) -> str:
    """The plan as a drawing. ``statuses``: statuses of nodes by id, shown as colours or marks.

    Raises `ValueError` for an unknown format.
    """
    if format not in FORMATS:
        raise ValueError(f"no graph format {format!r}; known are {', '.join(sorted(FORMATS))}")
    return FORMATS[format](picture(plan, statuses or {}))


__all__ = ["FORMATS", "render"]
