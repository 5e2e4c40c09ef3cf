"""SVG drawings measured from what is written in them, and generated drawings to measure."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from workflow_runtime.drawing import Drawing
from workflow_runtime.drawing.arrows import arrows_of
from workflow_runtime.drawing.geometry import DETAIL_COLUMN, TITLE_COLUMN
from workflow_runtime.drawing.model import DOTS, START, Item, Link
from workflow_runtime.language.texts import columns

CELL = 80.0
STEPS = 12  # points along a curve
SLACK = 1.0  # how far things may touch
TOGETHER = SLACK + 1.0  # arrows nearer than one pixel are one to the eye
ROUNDING = 0.2  # coordinates are written with one digit

Point = tuple[float, float]


class Area(msgspec.Struct, frozen=True):
    """A rectangle of a picture. ``what`` names it in failures; ``item``: the item it is, -1 for a text."""

    what: str
    left: float
    top: float
    right: float
    bottom: float
    item: int = -1

    def meets(self, other: Area) -> bool:
        return (
            self.left + SLACK < other.right
            and other.left + SLACK < self.right
            and self.top + SLACK < other.bottom
            and other.top + SLACK < self.bottom
        )

    def holds(self, other: Area) -> bool:
        return (
            self.left <= other.left + SLACK
            and self.top <= other.top + SLACK
            and other.right <= self.right + SLACK
            and other.bottom <= self.bottom + SLACK
        )


class Measured:
    """``items``: by number. ``texts``: all titles, details, notes and labels. ``ways``: the points of each arrow."""

    def __init__(self, drawing: Drawing, svg: str) -> None:
        self.drawing = drawing
        root = ElementTree.fromstring(svg)
        self.width, self.height = float(root.get("width", "")), float(root.get("height", ""))
        content = next(element for element in root if element.get("transform"))
        numbers = {item.id: number for number, item in enumerate(drawing.items) if item.id}
        starts = iter([number for number, item in enumerate(drawing.items) if item.kind in DOTS])
        self.items: dict[int, Area] = {}
        self.texts: list[Area] = []
        self.ways: list[list[tuple[Point, Point]]] = []
        for element in content:
            tag = element.tag.rpartition("}")[2]
            style = element.get("class", "")
            if tag == "g":
                hint = element[0].text or ""
                number = numbers[hint.rpartition(" (")[0]]
                self.items[number] = _area(hint, element[1], number)
                self.texts += [_text(child) for child in element if child.tag.endswith("text")]
            elif tag == "circle":
                number = next(starts)
                self.items[number] = _area("dot", element, number)
            elif tag == "text":
                self.texts.append(_text(element))
            elif style.startswith("edge"):
                self.ways.append(list(_segments(element.get("d", ""))))

    def faults(self) -> Iterator[str]:
        """Everything that is drawn over something else."""
        yield from self._outside()
        yield from self._overlaps()
        yield from self._crossings()
        yield from self._together()

    def _outside(self) -> Iterator[str]:
        page = Area("the page", -24, -24, self.width, self.height)
        for number, area in self.items.items():
            parent = self.drawing.items[number].parent
            if not (self.items[parent] if parent >= 0 else page).holds(area):
                yield f"{area.what} leaves what it is in"
        yield from (f"{text.what} leaves the page" for text in self.texts if not page.holds(text))

    def _overlaps(self) -> Iterator[str]:
        leaves = [area for number, area in self.items.items() if not self.drawing.children[number]]
        for group in (leaves, self.texts):
            grid = _Grid(group)
            for area in group:
                yield from (f"{area.what} lies on {other.what}" for other in grid.near(area) if other is not area)
        for members in self.drawing.children.values():
            for one, other in pairwise(sorted((self.items[number] for number in members), key=lambda area: area.left)):
                if one.meets(other):
                    yield f"{one.what} lies on {other.what}"

    def _crossings(self) -> Iterator[str]:
        """An arrow may pass the border of what its ends are in, and nothing else."""
        grid = _Grid([*self.items.values(), *self.texts])
        for arrow, segments in zip(arrows_of(self.drawing), self.ways, strict=True):
            around = {*self.drawing.line(arrow.source), *self.drawing.line(arrow.target)} - {-1}
            allowed = {number for number in around if self.drawing.children[number]}
            for one, other in segments:
                passed = Area("", min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]),
                              max(one[1], other[1]))  # fmt: skip
                for area in grid.near(passed, reach=SLACK - ROUNDING):
                    if area.item not in allowed:
                        yield f"the arrow {arrow.source} → {arrow.target} crosses {area.what}"

    def _together(self) -> Iterator[str]:
        """Arrows may cross, and not run along each other; only at a dot there is no room for many beside each other."""
        ends = [{arrow.source, arrow.target} for arrow in arrows_of(self.drawing)]
        dots = {number for number, item in enumerate(self.drawing.items) if item.kind in DOTS}
        upright = [
            Area(f"the arrow {number}", one[0], min(one[1], other[1]), one[0] + TOGETHER, max(one[1], other[1]), number)
            for number, segments in enumerate(self.ways)
            for one, other in segments
            if one[0] == other[0] and abs(one[1] - other[1]) > 2 * SLACK
        ]
        grid = _Grid(upright)
        for area in upright:
            for other in grid.near(area):
                if other.item > area.item and not ends[area.item] & ends[other.item] & dots:
                    yield f"{area.what} runs along {other.what}"


class _Grid:
    def __init__(self, areas: Sequence[Area]) -> None:
        self._cells: dict[tuple[int, int], list[Area]] = defaultdict(list)
        for area in areas:
            for cell in _cells(area):
                self._cells[cell].append(area)

    def near(self, area: Area, *, reach: float = 0.0) -> Iterator[Area]:
        """Those that meet it, when it is made larger by ``reach`` on all sides."""
        wide = Area("", area.left - reach, area.top - reach, area.right + reach, area.bottom + reach)
        found = {id(other): other for cell in _cells(area) for other in self._cells.get(cell, ())}
        yield from (other for other in found.values() if other.meets(wide))


def _cells(area: Area) -> Iterator[tuple[int, int]]:
    for column in range(int(area.left // CELL), int(area.right // CELL) + 1):
        for row in range(int(area.top // CELL), int(area.bottom // CELL) + 1):
            yield column, row


def _area(what: str, shape: ElementTree.Element, item: int) -> Area:
    number = {name: float(value) for name, value in shape.attrib.items() if re.fullmatch(r"-?[\d.]+", value)}
    if "r" in number:
        x, y, radius = number["cx"], number["cy"], number["r"]
        return Area(what, x - radius, y - radius, x + radius, y + radius, item)
    if "points" in shape.attrib:
        points = [tuple(map(float, point.split(","))) for point in shape.attrib["points"].split()]
        xs, ys = [point[0] for point in points], [point[1] for point in points]
        return Area(what, min(xs), min(ys), max(xs), max(ys), item)
    return Area(what, number["x"], number["y"], number["x"] + number["width"], number["y"] + number["height"], item)


def _text(element: ElementTree.Element) -> Area:
    """As wide as it is said to be; letters reach a little below their line, and less high than the font."""
    text = element.text or ""
    title = element.get("class") == "title"
    half = columns(text) * (TITLE_COLUMN if title else DETAIL_COLUMN) / 2
    x, y = float(element.get("x", "")), float(element.get("y", ""))
    return Area(f"the text {text!r}", x - half, y - (11 if title else 9), x + half, y + 3)


def _segments(path: str) -> Iterator[tuple[Point, Point]]:
    at = (0.0, 0.0)
    for command, numbers in re.findall(r"([MVC])([^MVC]*)", path):
        values = [float(number) for number in numbers.split()]
        if command == "M":
            at = (values[0], values[1])
        elif command == "V":
            yield at, (at[0], values[0])
            at = (at[0], values[0])
        else:
            points = [at, *zip(values[::2], values[1::2], strict=True)]
            line = [_on_curve(points, step / STEPS) for step in range(STEPS + 1)]
            yield from pairwise(line)
            at = line[-1]


def _on_curve(points: Sequence[Point], share: float) -> Point:
    rest = 1 - share
    weights = (rest**3, 3 * rest * rest * share, 3 * rest * share * share, share**3)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, points, strict=True)) for axis in (0, 1))
    return x, y


WORDS = [
    "ok",
    "approve",
    "付款成功",
    "after 30m",
    "[tracking_no != null and amount > 10000]",
    "订单.已发货",
    "ｆｕｌｌ",
    "é",
]
NODES = ["agent", "tool", "switch", "condition", "parallel", "aggregation", "pass", "wait", "fail", "succeed"]


def generated(seed: int) -> Drawing:
    """A drawing of anything that a plan could hold, and of more: any item may lead to any other, or to itself."""
    choose = random.Random(seed)
    is_chart = seed % 2 == 0
    items: list[Item] = []
    for number in range(choose.randrange(2, 28)):
        parent = choose.choice([-1, -1, *range(number)]) if is_chart else -1
        while parent >= 0 and items[parent].kind in (START, "final", "deep_history"):
            parent = items[parent].parent
        title = " ".join(choose.choices(WORDS, k=choose.randrange(1, 4)))[:36]
        notes = tuple(choose.choices(WORDS, k=choose.choice([0, 0, 0, 1, 3]))) if is_chart else ()
        kinds = ["state", "compound", "regions", "final", "deep_history", START, *NODES] if is_chart else NODES
        kind = choose.choice(kinds)
        items.append(
            Item("" if kind == START else f"i{number}", title, kind, choose.choice(["", title, "付款"]), notes, parent)
        )
    links = []
    for _ in range(choose.randrange(2 * len(items))):
        source, target = choose.randrange(len(items)), choose.randrange(len(items))
        if not is_chart:
            source, target = min(source, target), max(source, target)
        label = choose.choice(["", *WORDS, " ".join(choose.choices(WORDS, k=2))])
        links.append(Link(source, target, label, orders=choose.random() < 0.1))
    return Drawing("生成", tuple(items), tuple(dict.fromkeys(links)), has_states=is_chart)
