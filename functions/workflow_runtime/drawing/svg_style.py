"""The shapes and colours of SVG drawings.

Colours are written out per scheme: few viewers other than browsers know custom properties.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workflow_runtime.drawing.geometry import Box

LIGHT = {
    "ink": "#1f2328", "dim": "#59636e", "line": "#8c959f", "faint": "#d1d9e0", "paper": "#ffffff",
    "agent": "#ddf4ff", "tool": "#f6f8fa", "control": "#fff8c5", "aggregation": "#fbefff", "end": "#f6f8fa",
    "good": "#1a7f37", "bad": "#cf222e", "busy": "#0969da", "again": "#bc4c00",
}  # fmt: skip
DARK = {
    "ink": "#f0f6fc", "dim": "#9198a1", "line": "#656c76", "faint": "#3d444d", "paper": "#0d1117",
    "agent": "#10263d", "tool": "#1a212b", "control": "#2e2611", "aggregation": "#271b38", "end": "#1a212b",
    "good": "#3fb950", "bad": "#f85149", "busy": "#4493f8", "again": "#db6d28",
}  # fmt: skip

_COLOURS = """
.awr text { fill: @ink; }
.awr .detail, .awr .label { fill: @dim; }
.awr .shape, .awr .mark, .awr .edge { stroke: @line; }
.awr .head, .awr .dot { fill: @line; }
.awr .shape { fill: @end; }
.awr .agent .shape, .awr .state .shape { fill: @agent; }
.awr .tool .shape { fill: @tool; }
.awr .switch .shape, .awr .condition .shape, .awr .parallel .shape, .awr .wait .shape { fill: @control; }
.awr .aggregation .shape { fill: @aggregation; }
.awr .holder .shape, .awr .region .shape { fill: @paper; }
.awr .success .shape, .awr .visited .shape, .awr .edge.taken { stroke: @good; }
.awr .head.taken { fill: @good; }
.awr .failed .shape { stroke: @bad; }
.awr .running .shape, .awr .ready .shape, .awr .active .shape { stroke: @busy; }
.awr .retrying .shape, .awr .compensated .shape { stroke: @again; }
.awr .edge.dead { stroke: @faint; }
.awr .head.dead { fill: @faint; }
"""

_FORMS = """
.awr text { font-family: system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; text-anchor: middle; }
.awr .title { font-size: 14px; font-weight: 600; }
.awr .detail, .awr .label, .awr .note { font-size: 11px; }
.awr .note { font-style: italic; }
.awr .shape, .awr .mark { stroke-width: 1.25; }
.awr .edge { fill: none; stroke-width: 1.5; }
.awr .mark { fill: none; }
.awr .critical { stroke-width: 3; }
.awr .orders { stroke-dasharray: 3 4; }
.awr .taken { stroke-width: 2.5; }
.awr .dead { stroke-dasharray: 2 4; }
.awr .head { stroke: none; }
.awr .success .shape, .awr .failed .shape, .awr .running .shape, .awr .visited .shape { stroke-width: 2.5; }
.awr .ready .shape, .awr .retrying .shape { stroke-width: 2.5; }
.awr .active .shape { stroke-width: 3; }
.awr .region .shape { stroke-dasharray: 6 4; }
.awr .skipped .shape, .awr .cancelled .shape, .awr .compensated .shape { stroke-dasharray: 5 4; }
.awr .skipped, .awr .cancelled { opacity: 0.6; }
"""


def _coloured(palette: dict[str, str]) -> str:
    """The colour rules, with the colours of a palette in place of their names."""
    return re.sub("@([a-z]+)", lambda name: palette[name[1]], _COLOURS)


STYLE = f"{_FORMS}{_coloured(LIGHT)}@media (prefers-color-scheme: dark) {{{_coloured(DARK)}}}\n"


def outline(kind: str, box: Box) -> list[str]:
    """The outline of a node."""
    x, y, width, height = box.x, box.y, box.width, box.height
    match kind:
        case "switch" | "condition":
            slope = 18
            points = [(0, height / 2), (slope, 0), (width - slope, 0)]
            return [_polygon(x, y, [*points, (width, height / 2), (width - slope, height), (slope, height)])]
        case "aggregation":
            return [_polygon(x, y, [(0, 0), (width, 0), (width - 16, height), (16, height)])]
        case "fail":
            points = [(12, 0), (width - 12, 0), (width, 12), (width, height - 12), (width - 12, height), (12, height)]
            return [_polygon(x, y, [*points, (0, height - 12), (0, 12)])]
        case "parallel":
            bars = f"M{x + 9:.1f} {y:.1f}v{height:.0f}M{x + width - 9:.1f} {y:.1f}v{height:.0f}"
            return [_rectangle(box, 3), f'<path class="mark" d="{bars}"/>']
        case "succeed":
            place = f'x="{x + 4:.1f}" y="{y + 4:.1f}" width="{width - 8:.1f}" height="{height - 8:.0f}"'
            return [_rectangle(box, 24), f'<rect class="mark" {place} rx="20"/>']
        case "sub_workflow":
            bars = f"M{x + 7:.1f} {y:.1f}v{height:.0f}M{x + width - 7:.1f} {y:.1f}v{height:.0f}"
            return [_rectangle(box, 0), f'<path class="mark" d="{bars}"/>']
        case "agent":
            return [_rectangle(box, 24)]
        case _:
            return [_rectangle(box, 8)]


def _rectangle(box: Box, radius: float) -> str:
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<rect class="shape" {place} rx="{radius:.0f}"/>'


def _polygon(x: float, y: float, points: Sequence[tuple[float, float]]) -> str:
    shown = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f'<polygon class="shape" points="{shown}"/>'
