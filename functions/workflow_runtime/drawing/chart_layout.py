"""Where the items of a chart stand: each container is laid out in rows by itself, inside out.

Arrows between items at different depths pull on the containers that hold their ends. An arrow that would lead upward
is turned round while rows are made (a cycle has no levels) and drawn upward afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from workflow_runtime.drawing.chart import Drawing, Link
from workflow_runtime.drawing.layout import place

GAP = 36.0
ROW_GAP = 58.0
PADDING = 20.0


class Box(msgspec.Struct):
    """A rectangle; ``x``, ``y`` of its upper left corner, from that of the container until the end."""

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0

    @property
    def center(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


class Layout(msgspec.Struct, frozen=True):
    """``boxes`` by item. ``bends``: by link, where it passes rows on its way, as vertical pieces (x, top, bottom) from
    above to below. ``turned``: links that lead upward.
    """

    boxes: list[Box]
    bends: dict[int, list[tuple[float, float, float]]]
    turned: set[int]
    width: float
    height: float


def arrange(drawing: Drawing, size: Callable[[int], tuple[float, float]]) -> Layout:
    """``size``: width and height that an item's own texts need (the head of a container)."""
    return _Arranger(drawing, size).run()


class _Arranger:
    def __init__(self, drawing: Drawing, size: Callable[[int], tuple[float, float]]) -> None:
        self._drawing = drawing
        self._children = drawing.children()
        self._boxes = [Box(*size(number)) for number in range(len(drawing.items))]
        self._bends: dict[int, list[tuple[float, float, float]]] = {}
        self._turned: set[int] = set()
        self._links: dict[int, list[tuple[int, int, int]]] = {number: [] for number in self._children}
        for number, link in enumerate(drawing.links):
            holder = drawing.holder(link)
            source, target = self._within(holder, link)
            if source != target:
                self._links[holder].append((number, source, target))

    def run(self) -> Layout:
        width, height = self._rows(-1)
        for number, item in enumerate(self._drawing.items):  # parents come first
            if item.parent >= 0:
                self._boxes[number].x += self._boxes[item.parent].x
                self._boxes[number].y += self._boxes[item.parent].y
        for number, link in enumerate(self._drawing.links):
            holder = self._drawing.holder(link)
            if holder >= 0 and number in self._bends:
                box = self._boxes[holder]
                self._bends[number] = [(x + box.x, top + box.y, end + box.y) for x, top, end in self._bends[number]]
        return Layout(self._boxes, self._bends, self._turned, width, height)

    def _within(self, holder: int, link: Link) -> tuple[int, int]:
        """The children of ``holder`` that hold the link's ends."""
        lines = self._drawing.line(link.source), self._drawing.line(link.target)
        source, target = (line[line.index(holder) + 1] for line in lines)
        return source, target

    def _rows(self, holder: int) -> tuple[float, float]:
        """Lay out what is inside ``holder``, from (0, 0); width and height."""
        inside = self._children[holder]
        for number in inside:
            if self._children[number]:
                self._fit(number)
        if holder >= 0 and self._drawing.items[holder].kind == "regions":
            return self._side_by_side(inside)
        links = self._links[holder]
        level = self._levels(inside, links)
        position = {number: place_ for place_, number in enumerate(inside)}
        arrows = []
        for number, source, target in links:
            upward = level[source] > level[target]
            if upward:
                self._turned.add(number)
            pair = (target, source) if upward else (source, target)
            arrows.append((position[pair[0]], position[pair[1]]))
        levels = [level[number] for number in inside]
        placement = place(levels, [self._boxes[number].width for number in inside], arrows, GAP)
        tops, heights = self._tops(inside, level)
        for number, center in zip(inside, placement.centers, strict=True):
            box, row = self._boxes[number], level[number]
            box.x = center - box.width / 2
            box.y = tops[row] + (heights[row] - box.height) / 2
        for (number, _, _), (above, _), bends in zip(links, arrows, placement.bends, strict=True):
            rows = range(levels[above] + 1, levels[above] + 1 + len(bends))
            self._bends[number] = [(x, tops[row], tops[row] + heights[row]) for x, row in zip(bends, rows, strict=True)]
        return placement.width, tops[-1] + heights[-1] if tops else 0.0

    def _tops(self, inside: list[int], level: dict[int, int]) -> tuple[list[float], list[float]]:
        heights = [0.0] * (max(level.values(), default=-1) + 1)
        for number in inside:
            heights[level[number]] = max(heights[level[number]], self._boxes[number].height)
        tops: list[float] = []
        for row in range(len(heights)):
            tops.append(tops[-1] + heights[row - 1] + ROW_GAP if row else 0.0)
        return tops, heights

    def _fit(self, number: int) -> None:
        """Make a container as large as what is inside needs, below its own texts."""
        box = self._boxes[number]
        head, (width, height) = box.height, self._rows(number)
        outer = max(box.width, width + 2 * PADDING)
        for child in self._children[number]:
            self._boxes[child].x += (outer - width) / 2
            self._boxes[child].y += head
        for link, _, _ in self._links[number]:
            moved = [(x + (outer - width) / 2, top + head, end + head) for x, top, end in self._bends.get(link, [])]
            self._bends[link] = moved
        box.width, box.height = outer, head + height + PADDING

    def _side_by_side(self, inside: list[int]) -> tuple[float, float]:
        x = 0.0
        height = max((self._boxes[number].height for number in inside), default=0.0)
        for number in inside:
            self._boxes[number].x = x
            x += self._boxes[number].width + PADDING
            self._boxes[number].height = height
        return max(x - PADDING, 0.0), height

    def _levels(self, inside: list[int], links: list[tuple[int, int, int]]) -> dict[int, int]:
        """Rows: each item below all that lead to it, cycles opened where a walk from the first item closes them."""
        after: dict[int, list[int]] = {number: [] for number in inside}
        for _, source, target in links:
            after[source].append(target)
        forward: dict[int, list[int]] = {number: [] for number in inside}
        order: list[int] = []
        state: dict[int, int] = {}
        for first in inside:
            if first in state:
                continue
            state[first] = 1
            pending = [(first, iter(after[first]))]
            while pending:
                number, rest = pending[-1]
                following = next(rest, None)
                if following is None:
                    state[number] = 2
                    order.append(number)
                    pending.pop()
                elif state.get(following) != 1:
                    forward[number].append(following)
                    if following not in state:
                        state[following] = 1
                        pending.append((following, iter(after[following])))
        level = dict.fromkeys(inside, 0)
        for number in reversed(order):
            for target in forward[number]:
                level[target] = max(level[target], level[number] + 1)
        return level
