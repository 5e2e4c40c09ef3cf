"""Where things in rows stand, from left to right: ordered so that the lines between rows cross little, then placed so
that lines run straight (the second and third steps of Sugiyama's method).

Deterministic; apart from sorting, each pass is linear in things and lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from workflow_runtime.drawing.tidying import move_together, straighten

ORDERING_PASSES = 8
PLACING_PASSES = 16
BEND_WEIGHT = 4.0
"""A bend pulls harder than a box, so that long arrows run straight."""


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
    move_together(rows, widths, joined, centers)
    straighten(rows, widths, chains, centers)
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
