"""The inside of one container: what it holds stands in rows, and arrows pass between.

Everything that takes room has its place in a row: items, labels, and the points where an arrow passes a row. No two in
a row overlap, and rows are disjoint bands. An arrow crosses a band only as a vertical line at a place of its own, and
turns only between bands. So no arrow crosses an item, a title or the label of another, and no label meets another,
whatever is drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from workflow_runtime.drawing.arrows import BORDER, Piece
from workflow_runtime.drawing.geometry import Box, Stop
from workflow_runtime.drawing.placement import Line, place
from workflow_runtime.drawing.ports import End, spread
from workflow_runtime.drawing.walks import levels

ITEM_GAP = 32.0
BEND_GAP = 16.0
LABEL_GAP = 10.0
PADDING = 20.0
BAND_PADDING = 8.0  # above and below the items of a row: room for the heads of arrows
CHANNEL = 20.0  # between two rows
CHANNEL_MAX = 80.0
CHANNEL_SHARE = 0.08  # of how far an arrow goes sideways in it: it would be too flat otherwise


class Setting(msgspec.Struct):
    """What all rooms of a picture share, by item. ``beside``: width and height of what stands to the right of an item
    and belongs to it (an arrow to itself, with its label). ``ports``: by container and arrow, where the arrow passes
    the container's border, from its left.
    """

    boxes: list[Box]
    beside: Mapping[int, tuple[float, float]]
    ports: dict[tuple[int, int], float]

    def width(self, item: int) -> float:
        return self.boxes[item].width + self.beside.get(item, (0.0, 0.0))[0]

    def height(self, item: int) -> float:
        return max(self.boxes[item].height, self.beside.get(item, (0.0, 0.0))[1])


class Room:
    """``members``: the items inside ``holder``, -1 for everything. ``pieces``: of the arrows that pass inside."""

    def __init__(self, holder: int, members: Sequence[int], pieces: Sequence[Piece]) -> None:
        self._holder = holder
        self._members = members
        self._pieces = pieces
        position = {member: number for number, member in enumerate(members)}
        inner = [piece for piece in pieces if BORDER not in (piece.source, piece.target)]
        found = levels(len(members), ((position[piece.source], position[piece.target]) for piece in inner))
        self._level = {member: found[number] for member, number in position.items()}
        for piece in inner:
            if piece.main:
                piece.arrow.upward = self._level[piece.source] > self._level[piece.target]

    @property
    def bends(self) -> int:
        """How many points of arrows it will have to place, at least."""
        last = max(self._level.values(), default=0)
        return sum(self._level.get(piece.lower, last + 1) - self._level.get(piece.upper, -1) for piece in self._pieces)

    def lay_out(self, setting: Setting, title: tuple[float, float], *, equal: bool) -> tuple[Box, Box]:
        """Place members, labels and pieces, from the corner of the container. ``title``: width and height of the
        container's own texts; ``equal``: members of a row get the same height. The container's box and its title's."""
        return _Layout(self, setting).run(title, equal=equal)


class _Rows:
    """The bands from above to below: the head with the container's title, then per level the labels above it, if there
    are any, and its items; labels above the lower border; the border."""

    def __init__(self, level_count: int, label_gaps: set[int], *, bordered: bool) -> None:
        self.level: list[int] = []
        self.label: dict[int, int] = {}
        self.count = int(bordered)
        for level in range(level_count + 1):
            if level in label_gaps:
                self.label[level] = self.count
                self.count += 1
            if level < level_count:
                self.level.append(self.count)
                self.count += 1
        self.count += bordered


class _Layout:
    """Things are numbered: the members first, then the points and labels of arrows."""

    def __init__(self, room: Room, setting: Setting) -> None:
        self._holder, self._members, self._pieces = room._holder, room._members, room._pieces
        self._level = room._level
        self._setting = setting
        self._thing = {member: number for number, member in enumerate(self._members)}
        gaps = {self._label_gap(piece) for piece in self._pieces if piece.main and piece.arrow.label is not None}
        self._bordered = self._holder >= 0
        self._rows = _Rows(max(self._level.values(), default=-1) + 1, gaps, bordered=self._bordered)
        self._in_row: list[list[int]] = [[] for _ in range(self._rows.count)]
        self._widths = [setting.width(member) + ITEM_GAP for member in self._members]
        self._heights = [setting.height(member) for member in self._members]
        for member in self._members:
            self._in_row[self._rows.level[self._level[member]]].append(self._thing[member])
        self._chains = [list(self._chain(piece)) for piece in self._pieces]
        self._centers: list[float] = []

    def _label_gap(self, piece: Piece) -> int:
        """The level above which the label stands: near the arrow's source."""
        if piece.arrow.upward:
            return self._level[piece.lower]
        return 0 if piece.upper == BORDER else self._level[piece.upper] + 1

    def _chain(self, piece: Piece) -> Iterator[int]:
        """The things of a piece, one per row, from above to below."""
        first = self._rows.level[self._level[piece.upper]] if piece.upper != BORDER else -1
        last = self._rows.level[self._level[piece.lower]] if piece.lower != BORDER else self._rows.count
        label = piece.arrow.label if piece.main else None
        label_row = self._rows.label[self._label_gap(piece)] if label is not None else -1
        if piece.upper != BORDER:
            yield self._thing[piece.upper]
        for row in range(first + 1, last):
            width, height = BEND_GAP, 0.0
            if label is not None and row == label_row:
                width, height = label.box.width + LABEL_GAP, label.box.height
            self._in_row[row].append(len(self._widths))
            yield len(self._widths)
            self._widths.append(width)
            self._heights.append(height)
        if piece.lower != BORDER:
            yield self._thing[piece.lower]

    def run(self, title: tuple[float, float], *, equal: bool) -> tuple[Box, Box]:
        lines = [
            Line(upper, lower, self._offset(upper, piece), self._offset(lower, piece))
            for piece, chain in zip(self._pieces, self._chains, strict=True)
            for upper, lower in pairwise(chain)
        ]
        points = [[thing for thing in chain if thing >= len(self._members)] for chain in self._chains]
        self._centers = place(self._in_row, self._widths, lines, points)
        if equal:
            self._stretch()
        title_box = self._move_into_container(title)
        ways = self._ways()
        tops, heights, height = self._bands(title[1], ways)
        for member in self._members:
            row = self._rows.level[self._level[member]]
            box = self._setting.boxes[member]
            box.y = tops[row] + (heights[row] - box.height) / 2
        for piece, way in zip(self._pieces, ways, strict=True):
            self._walk(piece, way, tops, heights, height)
        return Box(self._width, height), title_box

    def _offset(self, thing: int, piece: Piece) -> float:
        """How far from the middle of a thing a piece ends that has no choice."""
        if thing >= len(self._members):
            return 0.0
        member = self._members[thing]
        beside = self._setting.width(member) - self._setting.boxes[member].width
        port = self._setting.ports.get((member, piece.arrow.number))
        return -beside / 2 + (port - self._setting.boxes[member].width / 2 if port is not None else 0.0)

    def _stretch(self) -> None:
        highest: dict[int, float] = defaultdict(float)
        for member in self._members:
            highest[self._level[member]] = max(highest[self._level[member]], self._setting.height(member))
        for member in self._members:
            self._setting.boxes[member].height = self._heights[self._thing[member]] = highest[self._level[member]]

    def _move_into_container(self, title: tuple[float, float]) -> Box:
        """Give members their places from the left, and the title one between the arrows that come from above, as near
        to the middle as there is room."""
        gaps = [*([ITEM_GAP] * len(self._members)), *([0.0] * (len(self._widths) - len(self._members)))]
        half = [(width - gap) / 2 for width, gap in zip(self._widths, gaps, strict=True)]
        left = min((center - part for center, part in zip(self._centers, half, strict=True)), default=0.0)
        right = max((center + part for center, part in zip(self._centers, half, strict=True)), default=0.0)
        above = [self._centers[thing] for thing in self._in_row[0]] if self._bordered else []
        middle = _free(above, (left + right) / 2, title[0] + BEND_GAP)
        padding = PADDING if self._bordered else 0.0
        if title[0]:
            left, right = min(left, middle - title[0] / 2), max(right, middle + title[0] / 2)
        shift = padding - left
        self._width = right - left + 2 * padding
        self._centers = [center + shift for center in self._centers]
        for member in self._members:
            box = self._setting.boxes[member]
            box.x = self._centers[self._thing[member]] - self._setting.width(member) / 2
        for piece, chain in zip(self._pieces, self._chains, strict=True):
            if BORDER in (piece.upper, piece.lower):
                border = chain[0] if piece.upper == BORDER else chain[-1]
                self._setting.ports[self._holder, piece.arrow.number] = self._centers[border]
        return Box(title[0], title[1], middle + shift - title[0] / 2, 0.0)

    def _ways(self) -> list[list[float]]:
        """Per piece its x in each row, from above to below; at items where it leaves or reaches them."""
        ways = [[self._centers[thing] + self._offset(thing, piece) for thing in chain]
                for piece, chain in zip(self._pieces, self._chains, strict=True)]  # fmt: skip
        for is_upper in (True, False):  # where an arrow has left one item decides how it reaches the next
            place_, toward = (0, 1) if is_upper else (-1, -2)
            sides: dict[int, list[End]] = defaultdict(list)
            for piece, way in zip(self._pieces, ways, strict=True):
                member = piece.upper if is_upper else piece.lower
                if member != BORDER:
                    fixed = (member, piece.arrow.number) in self._setting.ports
                    sides[member].append(End(way, place_, way[place_] if fixed else way[toward], fixed))
            for member, ends in sides.items():
                spread(self._setting.boxes[member], ends)
        return ways

    def _bands(self, head: float, ways: list[list[float]]) -> tuple[list[float], list[float], float]:
        """Top and height of each row, and of all. Where arrows go far sideways, rows are farther apart."""
        heights = [max((self._heights[thing] for thing in row), default=0.0) for row in self._in_row]
        for row in self._rows.level:
            heights[row] += 2 * BAND_PADDING
        if self._bordered:
            heights[0] = head
        far: dict[int, float] = {}
        row_of = {thing: row for row, things in enumerate(self._in_row) for thing in things}
        for chain, way in zip(self._chains, ways, strict=True):
            for thing, (x, next_x) in zip(chain, pairwise(way), strict=False):
                far[row_of[thing]] = max(far.get(row_of[thing], 0.0), abs(next_x - x))
        tops = [0.0]
        for row, height in enumerate(heights[:-1]):
            tops.append(tops[-1] + height + self._channel(row, far.get(row)))
        return tops, heights, tops[-1] + heights[-1]

    def _channel(self, row: int, far: float | None) -> float:
        """How far a row is from the next."""
        if far is not None:
            return min(CHANNEL + CHANNEL_SHARE * far, CHANNEL_MAX)
        if self._bordered and row == 0:
            return 0.0
        return PADDING - BAND_PADDING if self._bordered and row == self._rows.count - 2 else CHANNEL

    def _walk(self, piece: Piece, way: list[float], tops: list[float], heights: list[float], height: float) -> None:
        """The stops of a piece, and the place of its label."""
        first = self._rows.level[self._level[piece.upper]] if piece.upper != BORDER else 0
        label = piece.arrow.label if piece.main else None
        label_row = self._rows.label[self._label_gap(piece)] if label is not None else -1
        stops = [Stop(x, tops[row], tops[row] + heights[row]) for row, x in enumerate(way, first)]
        if piece.upper != BORDER:
            stops[0] = stops[0]._replace(top=self._setting.boxes[piece.upper].bottom)
        bottom = self._setting.boxes[piece.lower].y if piece.lower != BORDER else height
        stops[-1] = stops[-1]._replace(bottom=bottom)
        if label is not None:
            stop = stops[label_row - first]
            label.box.x = stop.x - label.box.width / 2
            label.box.y = (stop.top + stop.bottom - label.box.height) / 2
            around = [stop._replace(bottom=label.box.y), stop._replace(top=label.box.bottom)]
            behind = Stop(stop.x, label.box.y, label.box.bottom, hidden=True)
            stops[label_row - first : label_row - first + 1] = [around[0], behind, around[1]]
        piece.stops = stops


def _free(taken: list[float], wanted: float, width: float) -> float:
    """The middle nearest to ``wanted`` of a place of that width between the points that are taken."""
    edges = [float("-inf"), *sorted(taken), float("inf")]
    places = [
        min(max(wanted, left + width / 2), right - width / 2)
        for left, right in pairwise(edges)
        if right - left >= width
    ]
    return min(places, key=lambda middle: abs(middle - wanted))
