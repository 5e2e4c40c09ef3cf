"""Drawings of plans: Mermaid and Graphviz text, a list for the terminal, and SVG drawn here without other programs.

A reader of plans, no stage of the compiler. `reading` makes of a plan one `Drawing` (`model`): items inside each other,
and links. Each form draws that; what is too large for a picture becomes an outline (`outline`). SVG places everything
itself: `arrows` cuts arrows at the borders they pass, `room` lays out one container in rows (`placement`, `ports`),
`arrangement` puts the rooms into each other.

Imports `plan` and `language` only. Knows nothing of executions but what `progress` is told.
"""

from __future__ import annotations

from collections.abc import Callable

from workflow_runtime.drawing import dot, mermaid, svg, text
from workflow_runtime.drawing.arrangement import TooDense
from workflow_runtime.drawing.model import Drawing
from workflow_runtime.drawing.outline import bounded, outline
from workflow_runtime.drawing.progress import Progress
from workflow_runtime.drawing.reading import drawing_of
from workflow_runtime.plan.plan import Plan


def _svg(drawing: Drawing) -> str:
    try:
        return svg.draw(drawing)
    except TooDense:
        return svg.draw(outline(drawing))


FORMATS: dict[str, Callable[[Drawing], str]] = {
    "mermaid": mermaid.draw,
    "dot": dot.draw,
    "svg": _svg,
    "text": text.draw,
}


def render(plan: Plan, format: str, progress: Progress | None = None) -> str:
    """The plan as a drawing, with how far an execution is as colours or marks.

    Raises `ValueError` for an unknown format.
    """
    if format not in FORMATS:
        raise ValueError(f"no graph format {format!r}; known are {', '.join(sorted(FORMATS))}")
    return FORMATS[format](bounded(drawing_of(plan, progress)))


__all__ = ["FORMATS", "Drawing", "Progress", "drawing_of", "render"]
