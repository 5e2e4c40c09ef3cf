"""SVG drawn here, without other programs: readable on light and dark pages, wide scripts measured as wide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from workflow_runtime.drawing.arrangement import LOOP, Arrangement, Way, arrange
from workflow_runtime.drawing.geometry import DETAIL_COLUMN, LINE, TITLE_COLUMN, Box, Label, Stop
from workflow_runtime.drawing.model import DOTS, HISTORY_MARKS, STATE_KINDS, Drawing, Item
from workflow_runtime.drawing.svg_style import STYLE, outline
from workflow_runtime.language.texts import columns

MARGIN = 24.0
PADDING = 14.0
NODE_PADDING = 22.0
STATE_WIDTH_MIN = 72.0
NODE_WIDTH_MIN = 104.0
NODE_HEIGHT = 48.0
HEAD = 26.0  # of the title's line
DOT = 12.0
RING = 34.0
ARROWHEAD = 7.0
STACK_DEPTH, STACK_STEP = 2, 5.0  # sheets that show below one whose passes run side by side
SLANTED = frozenset({"switch", "condition", "aggregation", "parallel", "fail"})
_CLASS = re.compile(r"[^a-z_]")


def draw(drawing: Drawing) -> str:
    """Containers lie below the arrows, what holds nothing above them. Raises `arrangement.TooDense`."""
    children = drawing.children
    found = arrange(drawing, lambda number: size_of(drawing.items[number], holds=bool(children[number])))
    remark = columns(drawing.remark) * DETAIL_COLUMN if drawing.remark else 0.0
    width = max(found.width, remark) + 2 * MARGIN
    top = MARGIN + (2 * LINE if drawing.remark else 0.0)
    height = found.height + top + MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="awr" role="img" {size}>',
        f"<title>{escape(drawing.title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    if drawing.remark:
        lines.append(_text("detail", MARGIN + remark / 2, MARGIN, drawing.remark))
    lines.append(f'<g transform="translate({MARGIN:.0f} {top:.0f})">')
    regions = {number for number, item in enumerate(drawing.items) if item.kind == "regions"}
    for number, item in enumerate(drawing.items):
        if children[number]:
            style = "region" if item.parent in regions else "holder"
            lines += _container(item, style, found.boxes[number], found.titles[number])
    for way in found.ways:
        lines += _arrow(way, found)
    for number, item in enumerate(drawing.items):
        if not children[number]:
            lines += _leaf(item, "region" if item.parent in regions else "", found.boxes[number])
    for way in found.ways:
        if way.arrow.label is not None:
            lines += _label(way.arrow.label)
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def size_of(item: Item, *, holds: bool) -> tuple[float, float]:
    """Width and height of an item; of one that ``holds`` others, of its own texts."""
    if item.kind in DOTS:
        return DOT, DOT
    if item.kind in HISTORY_MARKS:
        return RING, RING
    texts = [item.subtitle, *item.notes] if item.subtitle else list(item.notes)
    wide = max(columns(item.title) * TITLE_COLUMN, *(columns(text) * DETAIL_COLUMN for text in texts), 0.0)
    if holds:
        return wide, HEAD + len(texts) * LINE + (4 if texts else 0)
    if item.kind not in STATE_KINDS:
        slanted = 16 if item.kind in SLANTED else 0
        return max(NODE_WIDTH_MIN, wide + 2 * NODE_PADDING + slanted), NODE_HEIGHT + len(item.notes) * LINE
    return max(STATE_WIDTH_MIN, wide + 2 * PADDING), HEAD + len(texts) * LINE + (PADDING if texts else PADDING / 2)


def _container(item: Item, style: str, box: Box, title: Box) -> list[str]:
    behind = range(STACK_DEPTH, 0, -1) if item.is_stack else ()
    return [
        f'<g class="{_classes(item, style)}"><title>{escape(_hint(item))}</title>',
        *(_rectangle(box.moved(STACK_STEP * step, STACK_STEP * step), 12) for step in behind),
        _rectangle(box, 12),
        *_texts(item, title.center, title.y),
        "</g>",
    ]


def _leaf(item: Item, style: str, box: Box) -> list[str]:
    opening = f'<g class="{_classes(item, style)}"><title>{escape(_hint(item))}</title>'
    if item.kind in DOTS:
        return [f'<circle class="dot" cx="{box.center:.1f}" cy="{box.middle:.1f}" r="{DOT / 2:.0f}"/>']
    if item.kind in HISTORY_MARKS:
        circle = f'<circle class="shape" cx="{box.center:.1f}" cy="{box.middle:.1f}" r="{RING / 2 - 1:.0f}"/>'
        return [opening, circle, _text("title", box.center, box.middle + 5, HISTORY_MARKS[item.kind]), "</g>"]
    if item.kind not in STATE_KINDS:
        return [opening, *outline(item.kind, box), *_texts(item, box.center, box.y), "</g>"]
    inner = Box(box.width - 6, box.height - 6, box.x + 3, box.y + 3)
    ring = [_rectangle(inner, 7, "mark")] if item.kind == "final" else []
    return [opening, _rectangle(box, 10), *ring, *_texts(item, box.center, box.y), "</g>"]


def _texts(item: Item, center: float, top: float) -> Iterator[str]:
    """Title and texts below it."""
    y = top + 21
    yield _text("title", center, y, item.title)
    subtitle = [("detail", item.subtitle)] if item.subtitle else []
    for style, text in (*subtitle, *(("note", note) for note in item.notes)):
        y += LINE
        yield _text(style, center, y, text)


def _arrow(way: Way, found: Arrangement) -> list[str]:
    arrow = way.arrow
    words = ("edge", "orders" if arrow.orders else "", "critical" if arrow.critical else "", arrow.mark)
    style = " ".join(word for word in words if word)
    if arrow.is_loop:
        path, head = _loop(found.boxes[arrow.source])
    else:
        path = _path(way.stops, arrow.upward)
        tip = way.stops[0].top if arrow.upward else way.stops[-1].bottom
        x = way.stops[0].x if arrow.upward else way.stops[-1].x
        back = tip + ARROWHEAD if arrow.upward else tip - ARROWHEAD
        head = f"M{x - 4.5:.1f} {back:.1f}h9L{x:.1f} {tip:.1f}Z"
    return [f'<path class="{style}" d="{path}"/>', f'<path class="head {arrow.mark}" d="{head}"/>'.replace(' "', '"')]


def _path(stops: Sequence[Stop], upward: bool) -> str:
    """Down every stop and in a curve to the next; not through the label, and only to where the head begins."""
    parts = []
    x = y = None
    for number, stop in enumerate(stops):
        top = stop.top + (ARROWHEAD if upward and number == 0 else 0.0)
        bottom = stop.bottom - (ARROWHEAD if not upward and number == len(stops) - 1 else 0.0)
        if x is None or y is None:
            parts.append(f"M{stop.x:.1f} {top:.1f}")
        elif abs(stop.x - x) < 0.05:
            parts.append(f"V{top:.1f}")
        else:
            middle = (y + top) / 2
            parts.append(f"C{x:.1f} {middle:.1f} {stop.x:.1f} {middle:.1f} {stop.x:.1f} {top:.1f}")
        parts.append(f"M{stop.x:.1f} {bottom:.1f}" if stop.hidden else f"V{bottom:.1f}")
        x, y = stop.x, bottom
    return "".join(parts)


def _loop(box: Box) -> tuple[str, str]:
    """To the right and back."""
    right, middle = box.right, box.middle
    path = (
        f"M{right:.1f} {middle - 9:.1f}C{right + LOOP:.1f} {middle - 18:.1f} {right + LOOP:.1f} {middle + 18:.1f} "
        f"{right + ARROWHEAD:.1f} {middle + 9:.1f}"
    )
    return path, f"M{right + ARROWHEAD:.1f} {middle + 4.5:.1f}v9L{right:.1f} {middle + 9:.1f}Z"


def _label(label: Label) -> Iterator[str]:
    for number, line in enumerate(label.lines):
        yield _text("label", label.box.center, label.box.y + number * LINE + 11, line)


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _rectangle(box: Box, radius: float, style: str = "shape") -> str:
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<rect class="{style}" {place} rx="{radius:.0f}"/>'


def _classes(item: Item, style: str) -> str:
    return " ".join(part for part in (item.kind, style, _CLASS.sub("", item.status)) if part)


def _hint(item: Item) -> str:
    return f"{item.id} ({item.kind})" + (f": {item.status}" if item.status else "")
