"""Where things in rows stand, from left to right: ordered so that the lines between rows cross little, then placed so
that lines run straight (the second and third steps of Sugiyama's method); at last, parts that are not joined move
together, and long arrows run straight.

Deterministic; apart from sorting, each pass is linear in things and lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import NamedTuple

ORDERING_PASSES = 8
PLACING_PASSES = 16
BEND_WEIGHT = 4.0
"""A bend pulls harder than a box, so that long arrows run straight."""
UNBOUNDED = float("inf")  # how far a thing may move on a side without neighbour


class Line(NamedTuple):
    """Between neighbouring rows; where it ends from the middle of the upper and of the lower thing."""

    upper: int
    lower: int
    upper_offset: float = 0.0
    lower_offset: float = 0.0


def place(
    rows: list[list[int]], widths: Sequence[float], lines: Sequence[Line], chains: Sequence[Sequence[int]]
) -> list[float]:
    """The middle of each thing. In a row, no two are nearer than half the sum of their ``widths``. ``chains``: the
    points of each arrow, from above to below. Orders ``rows`` in place."""
    neighbours = _Neighbours(len(widths), lines)
    _order(rows, neighbours)
    weights = [1.0] * len(widths)
    for point in chain.from_iterable(chains):
        weights[point] = BEND_WEIGHT
    centers = _centers(rows, widths, neighbours, weights)
    joined = [
        [other for other, _ in (*above, *below)]
        for above, below in zip(neighbours.above, neighbours.below, strict=True)
    ]
    _move_together(rows, widths, joined, centers)
    _straighten(rows, widths, chains, centers)
    return centers


class _Neighbours:
    """By thing, those above and below it, each with how far apart the middles are when the line is straight."""

    def __init__(self, count: int, lines: Sequence[Line]) -> None:
        self.above: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        self.below: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        for line in lines:
            apart = line.upper_offset - line.lower_offset
            self.below[line.upper].append((line.lower, -apart))
            self.above[line.lower].append((line.upper, apart))


def _order(rows: list[list[int]], neighbours: _Neighbours) -> None:
    """Sort each row by the mean place of what its things are joined to, downward and upward in turn."""
    place = [0.0] * len(neighbours.above)
    for row in rows:
        _number(row, place)
    for number in range(ORDERING_PASSES):
        downward = number % 2 == 0
        side = neighbours.above if downward else neighbours.below
        for row in rows if downward else reversed(rows):
            wanted = {thing: _mean([place[other] for other, _ in side[thing]], place[thing]) for thing in row}
            row.sort(key=lambda thing: (wanted[thing], place[thing]))
            _number(row, place)


def _number(row: list[int], place: list[float]) -> None:
    for position, thing in enumerate(row):
        place[thing] = (position + 0.5) / len(row)


def _centers(
    rows: list[list[int]], widths: Sequence[float], neighbours: _Neighbours, weights: Sequence[float]
) -> list[float]:
    centers = [0.0] * len(widths)
    offsets: list[list[float]] = []
    for row in rows:
        distances = [0.0]
        for left, right in pairwise(row):
            distances.append(distances[-1] + (widths[left] + widths[right]) / 2)
        offsets.append(distances)
        for thing, distance in zip(row, distances, strict=False):
            centers[thing] = distance - distances[-1] / 2
    for number in range(PLACING_PASSES):
        downward = number % 2 == 0
        sides = [neighbours.above, neighbours.below]
        if number < PLACING_PASSES - 2:
            sides = sides[:1] if downward else sides[1:]
        for level in range(len(rows)) if downward else range(len(rows) - 1, -1, -1):
            row = rows[level]
            wanted = [
                _mean([centers[other] + apart for side in sides for other, apart in side[thing]], centers[thing])
                for thing in row
            ]
            shifts = [want - offset for want, offset in zip(wanted, offsets[level], strict=False)]
            for thing, shift, offset in zip(
                row, ascending(shifts, [weights[thing] for thing in row]), offsets[level], strict=False
            ):
                centers[thing] = shift + offset
    return centers


def ascending(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values (least squares) that never descend: neighbours in conflict share their weighted mean."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, count = blocks.pop()
            joint = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / joint, joint, count + block[2])
        blocks.append(block)
    return [mean for mean, _, count in blocks for _ in range(count)]


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _move_together(
    rows: list[list[int]], widths: Sequence[float], joined: Sequence[Sequence[int]], centers: list[float]
) -> None:
    """Move each connected part as far to the left as the parts before it allow. Sorts ``rows`` by where things are.

    ``joined``: by thing, those it is joined to.
    """
    row_of = {thing: number for number, row in enumerate(rows) for thing in row}
    parts = sorted(_parts(joined), key=lambda part: (sum(centers[thing] for thing in part) / len(part), part[0]))
    taken: dict[int, float] = defaultdict(lambda: -UNBOUNDED)
    for part in parts:
        room = max(taken[row_of[thing]] - (centers[thing] - widths[thing] / 2) for thing in part)
        shift = room if room > -UNBOUNDED else 0.0
        for thing in part:
            centers[thing] += shift
        for thing in part:
            row = row_of[thing]
            taken[row] = max(taken[row], centers[thing] + widths[thing] / 2)
    for things in rows:
        things.sort(key=centers.__getitem__)


def _parts(joined: Sequence[Sequence[int]]) -> list[list[int]]:
    seen = [False] * len(joined)
    found = []
    for first in range(len(joined)):
        if seen[first]:
            continue
        seen[first] = True
        part = [first]
        for thing in part:  # grows meanwhile
            for other in joined[thing]:
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        found.append(part)
    return found


def _straighten(
    rows: list[list[int]], widths: Sequence[float], chains: Sequence[Sequence[int]], centers: list[float]
) -> None:
    """Let consecutive points of an arrow stand below each other, where their neighbours leave room for it.

    ``rows`` from left to right; ``chains``: the points of each arrow.
    """
    place = {thing: (number, position) for number, row in enumerate(rows) for position, thing in enumerate(row)}

    def limits(thing: int) -> tuple[float, float]:
        number, position = place[thing]
        row = rows[number]
        low, high = -UNBOUNDED, UNBOUNDED
        if position:
            before = row[position - 1]
            low = centers[before] + (widths[before] + widths[thing]) / 2
        if position + 1 < len(row):
            after = row[position + 1]
            high = centers[after] - (widths[after] + widths[thing]) / 2
        return low, high

    for points in chains:
        run: list[int] = []
        low, high = -UNBOUNDED, UNBOUNDED
        for thing in points:
            least, most = limits(thing)
            if run and max(low, least) > min(high, most):
                _align(run, low, high, centers)
                run, low, high = [], -UNBOUNDED, UNBOUNDED
            run.append(thing)
            low, high = max(low, least), min(high, most)
        _align(run, low, high, centers)


def _align(run: list[int], low: float, high: float, centers: list[float]) -> None:
    if run:
        mean = sum(centers[thing] for thing in run) / len(run)
        x = min(max(mean, low), high)
        for thing in run:
            centers[thing] = x
