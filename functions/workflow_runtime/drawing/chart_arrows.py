"""The arrows of a chart in SVG: where they leave and reach items, and how they run in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from workflow_runtime.drawing.chart import Drawing
from workflow_runtime.drawing.chart_layout import Box, Layout

LOOP = 46.0  # how far an arrow to the item it comes from reaches out
PORT_GAP = 24.0  # between arrows on one side of an item, where there is room
PORTS_SHARE = 0.8  # of the side's width
HEAD = 7.0
SAMPLES = 12  # points of a curve that a label may stand at

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]


class Arrow:
    """One link. `spread` gives it its ``ports``: x at its source and at its target."""

    def __init__(self, drawing: Drawing, layout: Layout, number: int) -> None:
        self.link = drawing.links[number]
        self.source: Box = layout.boxes[self.link.source]
        self.target: Box = layout.boxes[self.link.target]
        self.bends = layout.bends.get(number, [])
        self.upward = number in layout.turned
        self.ports = [self.source.center, self.target.center]
        line, other = drawing.line(self.link.source), drawing.line(self.link.target)
        self.is_loop = self.link.source == self.link.target
        self.enters = self.link.source in other and not self.is_loop  # from a container to something in it
        self.leaves = self.link.target in line and not self.is_loop  # from something inside to its container
        if self.enters:
            self.ports[0] = self.source.x + 2 * HEAD

    def curves(self) -> list[Curve]:
        """From the source to where the head begins."""
        source, target = self.source, self.target
        if self.is_loop:
            right, middle = source.x + source.width, source.y + source.height / 2
            return [((right, middle - 9), (right + LOOP, middle - 24), (right + LOOP, middle + 24),
                     (right + HEAD, middle + 9))]  # fmt: skip
        if self.leaves:
            middle = source.y + source.height / 2
            start, end = (source.x, middle), (target.x + HEAD, middle)
            return [(start, (start[0] - 12, middle), (end[0] + 12, middle), end)]
        if self.enters:
            start, end = (self.ports[0], source.y + 6), (self.ports[1], target.y - HEAD)
            return [_down(start, end)]
        if self.upward:
            points = [(self.ports[0], source.y), *self._passing(), (self.ports[1], target.bottom + HEAD)]
        else:
            points = [(self.ports[0], source.bottom), *self._passing(), (self.ports[1], target.y - HEAD)]
        return [_down(one, other) for one, other in pairwise(points)]

    def _passing(self) -> Iterator[Point]:
        for x, top, bottom in reversed(self.bends) if self.upward else self.bends:
            yield from ((x, bottom), (x, top)) if self.upward else ((x, top), (x, bottom))

    def points(self) -> list[Point]:
        """Points along the arrow, for its label."""
        return [_at(curve, step / SAMPLES) for curve in self.curves() for step in range(SAMPLES + 1)]

    def lines(self) -> list[str]:
        curves = self.curves()
        (x, y), (end_x, end_y) = curves[0][0], curves[-1][3]
        path = f"M{x:.1f} {y:.1f}" + "".join(
            f"C{a:.1f} {b:.1f} {c:.1f} {d:.1f} {e:.1f} {f:.1f}" for _, (a, b), (c, d), (e, f) in curves
        )
        style = "edge orders" if self.link.orders else "edge"
        if self.leaves or self.is_loop:
            head = f"M{end_x + 1:.1f} {end_y - 4.5:.1f}v9L{end_x - HEAD:.1f} {end_y:.1f}Z"
        else:
            tip = end_y - HEAD if self.upward else end_y + HEAD
            head = f"M{end_x - 4.5:.1f} {end_y:.1f}h9L{end_x:.1f} {tip:.1f}Z"
        return [f'<path class="{style}" d="{path}"/>', f'<path class="head" d="{head}"/>']


def spread(arrows: Sequence[Arrow]) -> None:
    """Let the arrows on one side of an item leave and reach it beside each other, in the order of where they go."""
    sides: dict[tuple[int, bool], list[tuple[float, int, Arrow, int]]] = defaultdict(list)
    for place, arrow in enumerate(arrows):
        if arrow.is_loop or arrow.leaves:
            continue
        near = [x for x, _, _ in (reversed(arrow.bends) if arrow.upward else arrow.bends)]
        if not arrow.enters:
            goal = near[0] if near else arrow.target.center
            sides[arrow.link.source, not arrow.upward].append((goal, place, arrow, 0))
        origin = near[-1] if near else arrow.source.center
        sides[arrow.link.target, arrow.upward].append((origin, place, arrow, 1))
    for ends in sides.values():
        ends.sort(key=lambda end: end[:2])
        box = ends[0][2].target if ends[0][3] else ends[0][2].source
        gap = min(PORT_GAP, box.width * PORTS_SHARE / len(ends))
        for number, (_, _, arrow, end) in enumerate(ends):
            arrow.ports[end] = box.center + (number - (len(ends) - 1) / 2) * gap


def _down(start: Point, end: Point) -> Curve:
    """A curve that leaves and arrives vertically."""
    (x, y), (end_x, end_y) = start, end
    middle = (y + end_y) / 2
    return start, (x, middle), (end_x, middle), end


def _at(curve: Curve, share: float) -> Point:
    rest = 1 - share
    weights = (rest**3, 3 * rest * rest * share, 3 * rest * share * share, share**3)
    x = sum(weight * point[0] for weight, point in zip(weights, curve, strict=True))
    y = sum(weight * point[1] for weight, point in zip(weights, curve, strict=True))
    return x, y
