"""Where everything in a picture stands: each container is laid out by itself, from the inside out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import chain

import msgspec

from workflow_runtime.drawing.arrows import BORDER, Arrow, Piece, arrows_of, cut
from workflow_runtime.drawing.geometry import Box, Stop
from workflow_runtime.drawing.model import Drawing
from workflow_runtime.drawing.room import Room, Setting

BENDS_MAX = 8_000
"""Points at which arrows pass rows. Beyond that a picture is a carpet, and laying it out takes seconds."""
LOOP = 26.0
"""How far an arrow from an item to itself reaches out; its label stands beyond."""
LOOP_HEIGHT = 30.0


class TooDense(Exception):
    """More arrows over more rows than `BENDS_MAX` allows."""


class Way(msgspec.Struct, frozen=True):
    """An arrow's way, from above to below; of one from an item to itself, none."""

    arrow: Arrow
    stops: tuple[Stop, ...]


class Arrangement(msgspec.Struct, frozen=True):
    """``boxes`` by item. ``titles``: of containers, what their own texts take. ``ways``: in the order of the arrows."""

    boxes: list[Box]
    titles: dict[int, Box]
    ways: list[Way]
    width: float
    height: float


def arrange(drawing: Drawing, size: Callable[[int], tuple[float, float]]) -> Arrangement:
    """``size``: width and height of an item; of a container, of its own texts. Raises `TooDense`."""
    arrows = arrows_of(drawing)
    pieces: dict[int, list[Piece]] = defaultdict(list)
    for arrow in arrows:
        if not arrow.is_loop:
            cut(drawing, arrow)
            for holder, piece in arrow.pieces:
                pieces[holder].append(piece)
    rooms = {holder: Room(holder, inside, pieces[holder]) for holder, inside in drawing.children.items() if inside}
    if sum(room.bends for room in rooms.values()) > BENDS_MAX:
        raise TooDense
    sizes = [size(number) for number in range(len(drawing.items))]
    setting = Setting([Box(*each) for each in sizes], _beside(arrows), {})
    titles: dict[int, Box] = {}
    whole = Box(0.0, 0.0)
    for holder in sorted(rooms, reverse=True):  # what is inside comes after what it is inside of
        equal = holder >= 0 and drawing.items[holder].kind == "regions"
        whole, title = rooms[holder].lay_out(setting, sizes[holder] if holder >= 0 else (0.0, 0.0), equal=equal)
        if holder >= 0:
            titles[holder] = title
            setting.boxes[holder] = whole
    return _placed(drawing, arrows, setting.boxes, titles, whole)


def _beside(arrows: list[Arrow]) -> dict[int, tuple[float, float]]:
    """The room that arrows to the item itself take."""
    found = {}
    for arrow in arrows:
        if arrow.is_loop:
            label = arrow.label.box if arrow.label is not None else Box(0.0, 0.0)
            found[arrow.source] = LOOP + label.width, max(LOOP_HEIGHT, label.height)
    return found


def _placed(drawing: Drawing, arrows: list[Arrow], boxes: list[Box], titles: dict[int, Box], whole: Box) -> Arrangement:
    """Everything from the corner of the picture instead of that of its container."""
    for number, item in enumerate(drawing.items):  # parents come first
        if item.parent >= 0:
            boxes[number] = boxes[number].moved(boxes[item.parent].x, boxes[item.parent].y)
        if number in titles:
            titles[number] = titles[number].moved(boxes[number].x, boxes[number].y)
    ways = []
    for arrow in arrows:
        stops: list[list[Stop]] = []
        for holder, piece in arrow.pieces:
            corner = boxes[holder] if holder >= 0 else whole
            if piece.lower == BORDER:  # it may have been stretched since
                piece.stops[-1] = piece.stops[-1]._replace(bottom=corner.height)
            stops.append([stop.moved(corner.x, corner.y) for stop in piece.stops])
            if piece.main and arrow.label is not None:
                arrow.label.box = arrow.label.box.moved(corner.x, corner.y)
        if arrow.is_loop and arrow.label is not None:
            box, label = boxes[arrow.source], arrow.label.box
            label.x, label.y = box.right + LOOP, box.middle - label.height / 2
        ways.append(Way(arrow, tuple(chain.from_iterable(reversed(stops) if arrow.upward else stops))))
    return Arrangement(boxes, titles, ways, whole.width, whole.height)
