"""Where arrows leave and reach an item: beside each other along one side, each as near as may be to where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workflow_runtime.drawing.geometry import Box
from workflow_runtime.drawing.placement import ascending

PORT_GAP = 22.0  # between two arrows, where there is room
PORTS_SHARE = 0.6  # of the item's width: some shapes are narrower above and below
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
    low = box.center - box.width * PORTS_SHARE / 2
    high = box.center + box.width * PORTS_SHARE / 2
    ordered = sorted(ends, key=lambda end: end.toward)
    gap = min(PORT_GAP, (high - low) / max(len(ordered) - 1, 1))
    wanted = [end.toward if end.fixed else min(max(end.toward, low), high) for end in ordered]
    shifts = [x - number * gap for number, x in enumerate(wanted)]
    found = ascending(shifts, [FIXED_WEIGHT if end.fixed else 1.0 for end in ordered])
    for number, (end, shift) in enumerate(zip(ordered, found, strict=True)):
        if not end.fixed:
            right = high - (len(ordered) - 1 - number) * gap
            end.way[end.place] = min(max(shift + number * gap, low + number * gap), right)
