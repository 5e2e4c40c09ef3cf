"""Where arrows leave and reach an item: beside each other along one side, each as near as may be to where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from workflow_runtime.drawing.geometry import Box
from workflow_runtime.drawing.placement import ascending

PORT_GAP = 22.0  # between two arrows, where there is room
PORT_GAP_MIN = 4.0  # what is nearer looks like one arrow
PORTS_SHARE = 0.6  # of the item's width: some shapes are narrower above and below
CORNER = 10.0  # of a container, that arrows keep clear of
FIXED_WEIGHT = 1e6


class End(NamedTuple):
    """The ``place`` of an arrow's ``way`` at which it meets the item. ``toward``: x of where it goes, or, if it is
    ``fixed``, of where it passes the border on its way inside."""

    way: list[float]
    place: int
    toward: float
    fixed: bool


def spread(box: Box, ends: Sequence[End]) -> None:
    """Write the x of each end into its way; fixed ones stay."""
    inset = CORNER if any(end.fixed for end in ends) else box.width * (1 - PORTS_SHARE) / 2
    low, high = box.x + inset, box.right - inset
    ordered = _ordered(ends, low, high)
    apart = list(accumulate(_gaps(ordered, min(PORT_GAP, (high - low) / len(ordered)), low, high), initial=0.0))
    wanted = [end.toward if end.fixed else min(max(end.toward, low), high) for end in ordered]
    shifts = [x - offset for x, offset in zip(wanted, apart, strict=True)]
    found = ascending(shifts, [FIXED_WEIGHT if end.fixed else 1.0 for end in ordered])
    for end, shift, offset in zip(ordered, found, apart, strict=True):
        if not end.fixed:
            end.way[end.place] = min(max(shift, low), high - apart[-1]) + offset


def _ordered(ends: Sequence[End], low: float, high: float) -> list[End]:
    """From left to right, as they go on from here. Where fixed ends and the corners leave no room for all that would
    be between them, some go to the right of the next, or, if there is no room left, to the left.
    """
    ordered = sorted(ends, key=lambda end: end.toward)
    fixed = [end for end in ordered if end.fixed]
    if not fixed:
        return ordered
    between: list[list[End]] = [[] for _ in range(len(fixed) + 1)]
    place = 0
    for end in ordered:
        if end.fixed:
            place += 1
        else:
            between[place].append(end)
    edges = [low - PORT_GAP_MIN, *(end.toward for end in fixed), high + PORT_GAP_MIN]
    room = [max(int((right - left) / PORT_GAP_MIN) - 1, 0) for left, right in pairwise(edges)]
    for number in range(len(fixed)):
        between[number + 1][:0] = between[number][room[number] :]
        del between[number][room[number] :]
    for number in range(len(fixed), 0, -1):
        more = len(between[number]) - room[number]
        if more > 0:
            between[number - 1] += between[number][:more]
            del between[number][:more]
    return [*between[0], *(end for one, free in zip(fixed, between[1:], strict=True) for end in (one, *free))]


def _gaps(ordered: Sequence[End], gap: float, low: float, high: float) -> list[float]:
    """Between each two neighbours; between fixed ones, and between these and the corners, no more than there is."""
    gaps = [gap] * (len(ordered) - 1)
    fixed = [number for number, end in enumerate(ordered) if end.fixed]
    for left, right in pairwise(fixed):
        room = (ordered[right].toward - ordered[left].toward) / (right - left)
        gaps[left:right] = [min(gap, room)] * (right - left)
    if fixed:
        first, last = fixed[0], fixed[-1]
        after = len(ordered) - 1 - last
        if first:
            gaps[:first] = [max(min(gap, (ordered[first].toward - low) / first), 0.0)] * first
        if after:
            gaps[last:] = [max(min(gap, (high - ordered[last].toward) / after), 0.0)] * after
    return gaps
