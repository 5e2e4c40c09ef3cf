"""SVG drawn here, without other programs: readable on light and dark pages, wide scripts measured as wide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from workflow_runtime.drawing.layout import place
from workflow_runtime.drawing.picture import Arrow, Box, Picture
from workflow_runtime.language.texts import columns

MARGIN = 24.0
BOX_HEIGHT = 48.0
ROW_HEIGHT = 108.0
GAP = 28.0
PADDING = 22.0
BOX_WIDTH_MIN = 104.0
TITLE_COLUMN = 7.7  # of the 14 px title font, per terminal column
LABEL_DROP = 34.0  # of the 60 px between levels
DETAIL_COLUMN = 6.1  # of the 11 px font

LIGHT = {
    "ink": "#1f2328", "dim": "#59636e", "line": "#8c959f", "paper": "#ffffff",
    "agent": "#ddf4ff", "tool": "#f6f8fa", "control": "#fff8c5", "aggregation": "#fbefff", "end": "#f6f8fa",
    "good": "#1a7f37", "bad": "#cf222e", "busy": "#0969da", "again": "#bc4c00",
}  # fmt: skip
DARK = {
    "ink": "#f0f6fc", "dim": "#9198a1", "line": "#656c76", "paper": "#0d1117",
    "agent": "#10263d", "tool": "#1a212b", "control": "#2e2611", "aggregation": "#271b38", "end": "#1a212b",
    "good": "#3fb950", "bad": "#f85149", "busy": "#4493f8", "again": "#db6d28",
}  # fmt: skip

COLOURS = """
.awr text { fill: @ink; }
.awr .detail, .awr .label { fill: @dim; }
.awr .label { stroke: @paper; }
.awr .shape, .awr .mark, .awr .edge { stroke: @line; }
.awr .head { fill: @line; }
.awr .shape { fill: @end; }
.awr .agent .shape { fill: @agent; }
.awr .tool .shape { fill: @tool; }
.awr .switch .shape, .awr .condition .shape, .awr .parallel .shape { fill: @control; }
.awr .aggregation .shape { fill: @aggregation; }
.awr .success .shape { stroke: @good; }
.awr .failed .shape { stroke: @bad; }
.awr .running .shape, .awr .ready .shape { stroke: @busy; }
.awr .retrying .shape { stroke: @again; }
"""

FORMS = """
.awr text { font-family: system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; text-anchor: middle; }
.awr .title { font-size: 14px; font-weight: 600; }
.awr .detail, .awr .label { font-size: 11px; }
.awr .label { paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }
.awr .shape, .awr .mark { stroke-width: 1.25; }
.awr .edge { fill: none; stroke-width: 1.5; }
.awr .mark { fill: none; }
.awr .critical { stroke-width: 3; }
.awr .orders { stroke-dasharray: 3 4; }
.awr .success .shape, .awr .failed .shape, .awr .running .shape { stroke-width: 2.5; }
.awr .ready .shape, .awr .retrying .shape { stroke-width: 2.5; }
.awr .skipped .shape, .awr .cancelled .shape { stroke-dasharray: 5 4; }
.awr .skipped, .awr .cancelled { opacity: 0.6; }
"""


def coloured(rules: str, palette: dict[str, str]) -> str:
    """Style rules with the colours of a palette in place of their names."""
    return re.sub("@([a-z]+)", lambda name: palette[name[1]], rules)


STYLE = f"{FORMS}{coloured(COLOURS, LIGHT)}@media (prefers-color-scheme: dark) {{{coloured(COLOURS, DARK)}}}\n"
"""Colours are written out per scheme: few viewers other than browsers know custom properties."""

_CLASS = re.compile(r"[^a-z_]")


def draw(picture: Picture) -> str:
    widths = [_width(box) for box in picture.boxes]
    pairs = [(arrow.source, arrow.target) for arrow in picture.arrows]
    placement = place([box.level for box in picture.boxes], widths, pairs, GAP)
    levels = max((box.level for box in picture.boxes), default=0) + 1
    width = placement.width + 2 * MARGIN
    height = (levels - 1) * ROW_HEIGHT + BOX_HEIGHT + 2 * MARGIN
    centers = [center + MARGIN for center in placement.centers]
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="awr" role="img" {size}>',
        f"<title>{escape(picture.title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    labels = []
    for arrow, bends in zip(picture.arrows, placement.bends, strict=True):
        source, target = picture.boxes[arrow.source], picture.boxes[arrow.target]
        points = [(centers[arrow.source], _top(source.level) + BOX_HEIGHT)]
        points += [(x + MARGIN, _top(level) + BOX_HEIGHT / 2) for level, x in enumerate(bends, source.level + 1)]
        points.append((centers[arrow.target], _top(target.level) - 7))
        lines += _arrow(points, arrow)
        if arrow.label:
            labels.append(_label(points, arrow.label))
    for box, center, box_width in zip(picture.boxes, centers, widths, strict=True):
        lines += _box(box, center, box_width)
    return "\n".join([*lines, *labels, "</svg>"]) + "\n"


def _top(level: int) -> float:
    return MARGIN + level * ROW_HEIGHT


def _subtitle(box: Box) -> str:
    return f"{box.kind} · {box.detail}" if box.detail and box.detail != box.title else box.kind


def _width(box: Box) -> float:
    text = max(columns(box.title) * TITLE_COLUMN, columns(_subtitle(box)) * DETAIL_COLUMN)
    slanted = box.kind in ("switch", "condition", "aggregation", "parallel", "fail")
    return max(BOX_WIDTH_MIN, text + 2 * PADDING + (16 if slanted else 0))


def _arrow(points: Sequence[tuple[float, float]], arrow: Arrow) -> list[str]:
    (x, y), (tip_x, tip_y) = points[0], points[-1]
    path = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in points[1:]:
        middle = (y + next_y) / 2
        path.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    style = "edge orders" if arrow.orders else "edge critical" if arrow.critical else "edge"
    head = f"M{tip_x - 4.5:.1f} {tip_y - 1:.1f}L{tip_x + 4.5:.1f} {tip_y - 1:.1f}L{tip_x:.1f} {tip_y + 7:.1f}Z"
    return [f'<path class="{style}" d="{"".join(path)}"/>', f'<path class="head" d="{head}"/>']


def _label(points: Sequence[tuple[float, float]], text: str) -> str:
    """On the arrow, below its start but above the next level: where arrows from one node have parted."""
    (x, y), (next_x, next_y) = points[0], points[1]
    along = LABEL_DROP / (next_y - y)
    x += (next_x - x) * along * along * (3 - 2 * along)
    y += LABEL_DROP + 4
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _box(box: Box, center: float, width: float) -> list[str]:
    top = _top(box.level)
    classes = " ".join(part for part in (box.kind, _CLASS.sub("", box.status)) if part)
    hint = f"{box.id} ({box.kind})" + (f": {box.status}" if box.status else "")
    return [
        f'<g class="{classes}"><title>{escape(hint)}</title>',
        *shape(box.kind, center - width / 2, top, width),
        f'<text class="title" x="{center:.1f}" y="{top + 21:.1f}">{escape(box.title)}</text>',
        f'<text class="detail" x="{center:.1f}" y="{top + 37:.1f}">{escape(_subtitle(box))}</text>',
        "</g>",
    ]


def shape(kind: str, x: float, y: float, width: float) -> list[str]:
    """The outline of a node, `BOX_HEIGHT` high, with its upper left corner at (x, y)."""
    height = BOX_HEIGHT
    match kind:
        case "switch" | "condition":
            points = [
                (0, height / 2),
                (18, 0),
                (width - 18, 0),
                (width, height / 2),
                (width - 18, height),
                (18, height),
            ]
            return [_polygon(x, y, points)]
        case "aggregation":
            return [_polygon(x, y, [(0, 0), (width, 0), (width - 16, height), (16, height)])]
        case "fail":
            points = [(12, 0), (width - 12, 0), (width, 12), (width, height - 12), (width - 12, height), (12, height)]
            return [_polygon(x, y, [*points, (0, height - 12), (0, 12)])]
        case "parallel":
            bars = f"M{x + 9:.1f} {y:.1f}v{height:.0f}M{x + width - 9:.1f} {y:.1f}v{height:.0f}"
            return [_rectangle(x, y, width, 3), f'<path class="mark" d="{bars}"/>']
        case "succeed":
            place = f'x="{x + 4:.1f}" y="{y + 4:.1f}" width="{width - 8:.1f}" height="{height - 8:.0f}"'
            inner = f'<rect class="mark" {place} rx="20"/>'
            return [_rectangle(x, y, width, 24), inner]
        case "agent":
            return [_rectangle(x, y, width, 24)]
        case _:
            return [_rectangle(x, y, width, 8)]


def _rectangle(x: float, y: float, width: float, radius: float) -> str:
    return (
        f'<rect class="shape" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX_HEIGHT:.0f}" rx="{radius:.0f}"/>'
    )


def _polygon(x: float, y: float, points: Sequence[tuple[float, float]]) -> str:
    shown = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f'<polygon class="shape" points="{shown}"/>'
