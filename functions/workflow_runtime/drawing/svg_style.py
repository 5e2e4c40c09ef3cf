"""The looks of SVG drawings. Colours are written out per scheme: few viewers but browsers know custom properties."""

from __future__ import annotations

import re

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
