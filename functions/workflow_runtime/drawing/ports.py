"""Where arrows leave and reach an item: beside each other along one side, each as near as may be to where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from workflow_runtime.drawing.geometry import Box
from workflow_runtime.drawing.placement import ascending

PORT_GAP = 22.0  # between two arrows, where there is room
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
    ordered = sorted(ends, key=lambda end: end.toward)
    inset = CORNER if any(end.fixed for end in ends) else box.width * (1 - PORTS_SHARE) / 2
    low, high = box.x + inset, box.right - inset
    apart = list(accumulate(_gaps(ordered, min(PORT_GAP, (high - low) / len(ordered))), initial=0.0))
    wanted = [end.toward if end.fixed else min(max(end.toward, low), high) for end in ordered]
    shifts = [x - offset for x, offset in zip(wanted, apart, strict=True)]
    found = ascending(shifts, [FIXED_WEIGHT if end.fixed else 1.0 for end in ordered])
    for end, shift, offset in zip(ordered, found, apart, strict=True):
        if not end.fixed:
            end.way[end.place] = min(max(shift, low), high - apart[-1]) + offset


def _gaps(ordered: Sequence[End], gap: float) -> list[float]:
    """Between each two neighbours; between fixed ones, no more than there is."""
    gaps = [gap] * (len(ordered) - 1)
    fixed = [number for number, end in enumerate(ordered) if end.fixed]
    for left, right in pairwise(fixed):
        room = (ordered[right].toward - ordered[left].toward) / (right - left)
        gaps[left:right] = [min(gap, room)] * (right - left)
    return gaps
