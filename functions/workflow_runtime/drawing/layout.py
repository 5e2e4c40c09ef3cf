"""Layered layout (Sugiyama's steps): long arrows get a bend per level, levels are ordered to cross little, then placed.

Everything is deterministic and, apart from sorting, linear in boxes, bends and arrows per pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

BENDS_MAX = 20_000
"""Beyond that arrows run straight: the drawing is a carpet anyway, and must not take minutes."""

ORDERING_PASSES = 8
PLACING_PASSES = 16
BEND_WEIGHT = 4.0
"""A bend pulls harder than a box, so that long arrows run straight."""


class Placement(msgspec.Struct, frozen=True):
    """``centers``: x of each box. ``bends``: per arrow the x at each level between its ends. ``width``: of all."""

    centers: list[float]
    bends: list[list[float]]
    width: float


def place(levels: Sequence[int], widths: Sequence[float], arrows: Sequence[tuple[int, int]], gap: float) -> Placement:
    """Place boxes of ``widths`` on their ``levels`` so that no two of a level are nearer than ``gap``."""
    sizes = list(widths)
    level_of = list(levels)
    total = sum(max(levels[target] - levels[source] - 1, 0) for source, target in arrows)
    above: list[list[int]] = [[] for _ in sizes]
    below: list[list[int]] = [[] for _ in sizes]
    chains: list[list[int]] = []
    for source, target in arrows:
        chain = []
        last = source
        for level in range(levels[source] + 1, levels[target]) if total <= BENDS_MAX else ():
            bend = len(sizes)
            sizes.append(0.0)
            level_of.append(level)
            above.append([last])
            below.append([])
            below[last].append(bend)
            chain.append(bend)
            last = bend
        below[last].append(target)
        above[target].append(last)
        chains.append(chain)
    rows: list[list[int]] = [[] for _ in range(max(level_of, default=-1) + 1)]
    for vertex, level in enumerate(level_of):
        rows[level].append(vertex)
    _order(rows, above, below)
    centers = _centers(rows, sizes, above, below, len(widths), gap)
    left = min((center - size / 2 for center, size in zip(centers, sizes, strict=True)), default=0.0)
    right = max((center + size / 2 for center, size in zip(centers, sizes, strict=True)), default=0.0)
    centers = [center - left for center in centers]
    return Placement(centers[: len(widths)], [[centers[bend] for bend in chain] for chain in chains], right - left)


def _order(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Sort each level by the mean place of its neighbours, downward and upward in turn."""
    place = [0.0] * len(above)
    for row in rows:
        _number(row, place)
    for number in range(ORDERING_PASSES):
        neighbours = above if number % 2 == 0 else below
        for row in rows if number % 2 == 0 else reversed(rows):
            wanted = {vertex: _mean([place[other] for other in neighbours[vertex]], place[vertex]) for vertex in row}
            row.sort(key=lambda vertex: (wanted[vertex], place[vertex]))
            _number(row, place)


def _number(row: list[int], place: list[float]) -> None:
    for position, vertex in enumerate(row):
        place[vertex] = (position + 0.5) / len(row)


def _centers(
    rows: list[list[int]], sizes: list[float], above: list[list[int]], below: list[list[int]], boxes: int, gap: float
) -> list[float]:
    centers = [0.0] * len(sizes)
    offsets: list[list[float]] = []
    for row in rows:
        distances = [0.0]
        for left, right in pairwise(row):
            distances.append(distances[-1] + (sizes[left] + sizes[right]) / 2 + gap)
        offsets.append(distances)
        for vertex, distance in zip(row, distances, strict=True):
            centers[vertex] = distance - distances[-1] / 2
    for number in range(PLACING_PASSES):
        downward = number % 2 == 0
        sides = [above, below] if number >= PLACING_PASSES - 2 else [above] if downward else [below]
        for level in range(len(rows)) if downward else range(len(rows) - 1, -1, -1):
            row = rows[level]
            wanted = [
                _mean([centers[other] for side in sides for other in side[vertex]], centers[vertex]) for vertex in row
            ]
            weights = [1.0 if vertex < boxes else BEND_WEIGHT for vertex in row]
            shifts = [want - offset for want, offset in zip(wanted, offsets[level], strict=True)]
            for vertex, shift, offset in zip(row, _ascending(shifts, weights), offsets[level], strict=True):
                centers[vertex] = shift + offset
    return centers


def _ascending(wanted: list[float], weights: list[float]) -> list[float]:
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
