"""Charts as SVG, drawn here without other programs, with the looks of `svg`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from xml.sax.saxutils import escape

from workflow_runtime.drawing.chart import STATE_KINDS, Drawing, Item
from workflow_runtime.drawing.chart_arrows import LOOP, Arrow, spread
from workflow_runtime.drawing.chart_layout import Box, arrange
from workflow_runtime.drawing.svg import (
    BOX_HEIGHT,
    DARK,
    DETAIL_COLUMN,
    LIGHT,
    STYLE,
    TITLE_COLUMN,
    coloured,
    shape,
)
from workflow_runtime.language.texts import columns

MARGIN = 24.0
LINE = 15.0
PADDING = 14.0
WIDTH_MIN = 72.0
HEAD = 24.0
DOT = 12.0
RING = 34.0
CELL = 160.0
LABEL_PLACES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.12, 0.88)
_MARKS = {"shallow_history": "H", "deep_history": "H*"}

_COLOURS = """
.awr .state .shape { fill: @agent; }
.awr .compound .shape, .awr .regions .shape, .awr .state_machine .shape, .awr .graph .shape { fill: @paper; }
.awr .holder .shape { fill: @paper; }
.awr .initial .dot { fill: @line; }
.awr .active .shape { stroke: @busy; }
.awr .region .shape { fill: @paper; }
"""
_FORMS = """
.awr .note, .awr .detail { text-anchor: middle; }
.awr .note { font-size: 11px; font-style: italic; }
.awr .active .shape { stroke-width: 3; }
.awr .region .shape { stroke-dasharray: 6 4; }
"""
_CHART_STYLE = (
    f"{_FORMS}{coloured(_COLOURS, LIGHT)}@media (prefers-color-scheme: dark) {{{coloured(_COLOURS, DARK)}}}\n"
)
_CLASS = re.compile(r"[^a-z_]")


def draw(drawing: Drawing) -> str:
    """Containers lie under the arrows, what holds nothing lies above them; labels keep clear of both."""
    children = drawing.children()
    layout = arrange(drawing, lambda number: _size(drawing.items[number], bool(children[number])))
    width, height = layout.width + 2 * MARGIN + LOOP, layout.height + 2 * MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="awr" role="img" {size}>',
        f"<title>{escape(drawing.title)}</title>",
        f"<style>{STYLE}{_CHART_STYLE}</style>",
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">',
    ]
    for number, item in enumerate(drawing.items):
        if children[number]:
            lines += _container(item, layout.boxes[number], _is_region(drawing, item))
    arrows = [Arrow(drawing, layout, number) for number in range(len(drawing.links))]
    spread(arrows)
    for arrow in arrows:
        lines += arrow.lines()
    for number, item in enumerate(drawing.items):
        if not children[number]:
            lines += _leaf(item, layout.boxes[number], _is_region(drawing, item))
    taken = _Taken()
    for number, item in enumerate(drawing.items):
        taken.add(_texts(layout.boxes[number], bool(children[number]), item))
    for arrow in arrows:
        if arrow.link.label:
            lines.append(_label(arrow, taken))
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def _is_region(drawing: Drawing, item: Item) -> bool:
    return item.parent >= 0 and drawing.items[item.parent].kind == "regions"


def _size(item: Item, holds: bool) -> tuple[float, float]:
    """Of an item's own texts; of one that holds others, its head."""
    if item.kind == "initial":
        return DOT, DOT
    if item.kind in _MARKS:
        return RING, RING
    title = columns(item.title) * TITLE_COLUMN
    notes = [*([_detail(item)] if _detail(item) else []), *item.notes]
    width = max(WIDTH_MIN, title + 2 * PADDING, *(columns(note) * DETAIL_COLUMN + 2 * PADDING for note in notes), 0)
    if item.kind not in STATE_KINDS and not holds:
        return width + 2 * PADDING, BOX_HEIGHT
    return width, HEAD + len(notes) * LINE + (PADDING if holds or notes else PADDING / 2)


def _detail(item: Item) -> str:
    if item.kind in STATE_KINDS or item.kind == "graph":
        return ""
    return f"{item.kind} · {item.detail}" if item.detail and item.detail != item.title else item.kind


def _container(item: Item, box: Box, is_region: bool) -> list[str]:
    return [
        f'<g class="{_classes(item, "region" if is_region else "holder")}"><title>{escape(_hint(item))}</title>',
        _rectangle(box, 12),
        *_head(item, box),
        "</g>",
    ]


def _leaf(item: Item, box: Box, is_region: bool) -> list[str]:
    middle = box.y + box.height / 2
    classes = _classes(item, *(["region"] if is_region else []))
    opening = f'<g class="{classes}"><title>{escape(_hint(item))}</title>'
    if item.kind == "initial":
        return [f'<circle class="dot" cx="{box.center:.1f}" cy="{middle:.1f}" r="{DOT / 2:.0f}"/>']
    if item.kind in _MARKS:
        circle = f'<circle class="shape" cx="{box.center:.1f}" cy="{middle:.1f}" r="{RING / 2 - 1:.0f}"/>'
        return [opening, circle, _text("title", box.center, middle + 5, _MARKS[item.kind]), "</g>"]
    if item.kind not in STATE_KINDS:
        return [opening, *shape(item.kind, box.x, box.y, box.width), *_head(item, box), "</g>"]
    inner = Box(box.width - 6, box.height - 6, box.x + 3, box.y + 3)
    ring = [_rectangle(inner, 7, "mark")] if item.kind == "final" else []
    return [opening, _rectangle(box, 10), *ring, *_head(item, box), "</g>"]


def _head(item: Item, box: Box) -> Iterator[str]:
    """Title and texts below it."""
    y = box.y + 20
    yield _text("title", box.center, y, item.title)
    for style, text in (("detail", _detail(item)), *(("note", note) for note in item.notes)):
        if text:
            y += LINE
            yield _text(style, box.center, y, text)


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _rectangle(box: Box, radius: float, style: str = "shape") -> str:
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<rect class="{style}" {place} rx="{radius:.0f}"/>'


def _classes(item: Item, *more: str) -> str:
    return " ".join(part for part in (item.kind, *more, _CLASS.sub("", item.status)) if part)


def _hint(item: Item) -> str:
    return f"{item.id} ({item.kind})" + (f": {item.status}" if item.status else "")


def _texts(box: Box, holds: bool, item: Item) -> Box:
    """What of an item a label must not hide."""
    height = HEAD + len(item.notes) * LINE if holds else box.height
    width = columns(item.title) * TITLE_COLUMN if holds else box.width
    return Box(width, height, box.center - width / 2, box.y)


def _label(arrow: Arrow, taken: _Taken) -> str:
    """The text of an arrow, at the place along it where it hides least; that place is taken then."""
    width = columns(arrow.link.label) * DETAIL_COLUMN + 6
    points = arrow.points()

    def at(share: float) -> Box:
        x, y = points[round(share * (len(points) - 1))]
        return Box(width, LINE, x - width / 2, y - LINE / 2)

    best = min((at(share) for share in LABEL_PLACES), key=taken.hidden)
    taken.add(best)
    return _text("label", best.center, best.y + 11, arrow.link.label)


class _Taken:
    """Places that texts stand at, by cell of a grid."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[Box]] = defaultdict(list)

    def add(self, box: Box) -> None:
        for cell in _cells(box):
            self._cells[cell].append(box)

    def hidden(self, box: Box) -> float:
        """How much would be hidden by a text there; more counts as more."""
        return sum(_overlap(box, other) for cell in _cells(box) for other in self._cells.get(cell, ()))


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    for column in range(int(box.x // CELL), int((box.x + box.width) // CELL) + 1):
        for row in range(int(box.y // CELL), int(box.bottom // CELL) + 1):
            yield column, row


def _overlap(one: Box, other: Box) -> float:
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.bottom, other.bottom) - max(one.y, other.y)
    return width * height if width > 0 and height > 0 else 0.0
