"""Mermaid flowcharts, as GitHub and many documentation sites show them."""

from __future__ import annotations

from workflow_runtime.drawing.picture import Box, Picture

SHAPES = {
    "agent": ("([", "])"),
    "tool": ("[", "]"),
    "switch": ("{", "}"),
    "condition": ("{", "}"),
    "parallel": ("{{", "}}"),
    "aggregation": ("[/", "\\]"),
    "fail": (">", "]"),
    "succeed": ("((", "))"),
}
ROUNDED = ("(", ")")

STYLES = {
    "success": "fill:#d3f0dc,stroke:#1a7f37,color:#0b3d1a",
    "failed": "fill:#ffd9d6,stroke:#cf222e,color:#5c0a10",
    "running": "fill:#d5e8ff,stroke:#0969da,color:#06325f",
    "retrying": "fill:#fff0c2,stroke:#9a6700,color:#4a3200",
    "ready": "fill:#e6f1ff,stroke:#0969da,color:#06325f",
    "waiting": "fill:#f2f2f2,stroke:#8c959f,color:#424a53",
    "skipped": "fill:#f2f2f2,stroke:#8c959f,color:#6e7781,stroke-dasharray:4 3",
    "cancelled": "fill:#ececec,stroke:#6e7781,color:#424a53,stroke-dasharray:4 3",
}
"""Light fills with dark texts of their own: readable on a light and on a dark page."""

_ENTITIES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\;|'}


def draw(picture: Picture) -> str:
    """Node keys are n0, n1 …, so that ids of any script are safe; texts are quoted, with entities."""
    lines = ["flowchart TD"]
    lines += [f"    {_box(number, box)}" for number, box in enumerate(picture.boxes)]
    for arrow in picture.arrows:
        line = "-.->" if arrow.orders else "==>" if arrow.critical else "-->"
        label = f'|"{_escaped(arrow.label)}"|' if arrow.label else ""
        lines.append(f"    n{arrow.source} {line}{label} n{arrow.target}")
    for status, style in STYLES.items():
        members = [f"n{number}" for number, box in enumerate(picture.boxes) if box.status == status]
        if members:
            lines += [f"    classDef {status} {style}", f"    class {','.join(members)} {status}"]
    return "\n".join(lines) + "\n"


def _box(number: int, box: Box) -> str:
    left, right = SHAPES.get(box.kind, ROUNDED)
    detail = f"<br/><small>{_escaped(box.detail)}</small>" if box.detail and box.detail != box.title else ""
    return f'n{number}{left}"{_escaped(box.title)}{detail}"{right}'


def _escaped(text: str) -> str:
    return text.translate(_ENTITIES)
