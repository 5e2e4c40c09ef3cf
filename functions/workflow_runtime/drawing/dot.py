"""Graphviz."""

from __future__ import annotations

from workflow_runtime.drawing.picture import Box, Picture

SHAPES = {
    "agent": "box, style=rounded",
    "tool": "box",
    "switch": "diamond",
    "condition": "diamond",
    "parallel": "hexagon",
    "aggregation": "invtrapezium",
    "fail": "octagon",
    "succeed": "doublecircle",
}

COLOURS = {
    "success": "#1a7f37",
    "failed": "#cf222e",
    "running": "#0969da",
    "retrying": "#9a6700",
    "ready": "#0969da",
    "waiting": "#8c959f",
    "skipped": "#8c959f",
    "cancelled": "#6e7781",
}


def draw(picture: Picture) -> str:
    lines = [
        f"digraph {quoted(picture.title)} {{",
        '    node [fontname="sans-serif"];',
        '    edge [fontname="sans-serif"];',
    ]
    lines += [f"    n{number} [{_attributes(box)}];" for number, box in enumerate(picture.boxes)]
    for arrow in picture.arrows:
        attributes = [f"label={quoted(arrow.label)}"] if arrow.label else []
        attributes += ["style=dashed"] if arrow.orders else []
        attributes += ["penwidth=2.5"] if arrow.critical else []
        shown = f" [{', '.join(attributes)}]" if attributes else ""
        lines.append(f"    n{arrow.source} -> n{arrow.target}{shown};")
    return "\n".join([*lines, "}"]) + "\n"


def _attributes(box: Box) -> str:
    label = box.title if box.detail in ("", box.title) else f"{box.title}\n{box.detail}"
    attributes = [f"label={quoted(label)}", f"shape={SHAPES.get(box.kind, 'ellipse')}"]
    if box.status in COLOURS:
        attributes += [f'color="{COLOURS[box.status]}"', "penwidth=2", f"tooltip={quoted(box.status)}"]
    return ", ".join(attributes)


def quoted(text: str) -> str:
    """As a string of DOT."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
