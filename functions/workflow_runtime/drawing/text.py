"""A list for the terminal: nodes by level, each with what it waits for."""

from __future__ import annotations

from workflow_runtime.drawing.picture import Arrow, Box, Picture
from workflow_runtime.language.texts import columns

MARKS = {
    "agent": "●",
    "tool": "■",
    "switch": "◆",
    "condition": "◆",
    "parallel": "⫴",
    "aggregation": "▼",
    "fail": "✗",
    "succeed": "✓",
}
PLAIN_MARK = "○"


def draw(picture: Picture) -> str:
    """Levels from the first to the last; what stands on one level can run side by side."""
    incoming: list[list[Arrow]] = [[] for _ in picture.boxes]
    for arrow in picture.arrows:
        incoming[arrow.target].append(arrow)
    order = sorted(range(len(picture.boxes)), key=lambda number: picture.boxes[number].level)
    id_width = max((columns(box.id) for box in picture.boxes), default=0)
    kind_width = max((columns(_kind(box)) for box in picture.boxes), default=0)
    lines = [f"{picture.title}: {len(picture.boxes)} nodes, {len(picture.arrows)} edges", ""]
    gutter = len(str(max((box.level for box in picture.boxes), default=0) + 1))
    shown = -1
    for number in order:
        box = picture.boxes[number]
        level = str(box.level + 1) if box.level != shown else ""
        shown = box.level
        parts = [
            level.rjust(gutter),
            f"{MARKS.get(box.kind, PLAIN_MARK)} {_padded(box.id, id_width)}",
            _padded(_kind(box), kind_width),
            ", ".join(_source(picture, arrow) for arrow in incoming[number]),
        ]
        lines.append("  ".join(parts).rstrip())
    if len(picture.critical) > 1:
        lines += ["", f"critical path: {' → '.join(picture.critical)}"]
    return "\n".join(lines) + "\n"


def _kind(box: Box) -> str:
    status = f" [{box.status}]" if box.status else ""
    return f"{box.kind}{status}"


def _source(picture: Picture, arrow: Arrow) -> str:
    label = f" ({arrow.label})" if arrow.label else ""
    return f"{'⇠' if arrow.orders else '←'} {picture.boxes[arrow.source].id}{label}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))
