"""The arrows of a picture: links that run together are one, and each is cut where it passes a border.

An arrow between items at different depths is made of *pieces*, one per container that it passes: from an item to the
container's border, or from one item to another inside it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from workflow_runtime.drawing.geometry import Label, Stop, label_of
from workflow_runtime.drawing.model import DEAD, TAKEN, Drawing, Link

BORDER = -1
"""Stands for the container itself where a piece ends at its border."""


class Piece(msgspec.Struct, eq=False):
    """A part of an arrow inside one container, between ``source`` and ``target``, of which one may be the `BORDER`.

    ``main``: the part that carries the label. ``stops``: its way from above to below, from the container's corner.
    """

    arrow: Arrow
    source: int
    target: int
    main: bool = False
    stops: list[Stop] = []

    @property
    def upper(self) -> int:
        return self.target if self.arrow.upward else self.source

    @property
    def lower(self) -> int:
        return self.source if self.arrow.upward else self.target


class Arrow(msgspec.Struct, eq=False):
    """``pieces``: with their containers, from the source to the target. ``upward``: it leads from below to above.
    ``number``: its place among the arrows. ``label``: from the corner of the container of its main piece."""

    number: int
    source: int
    target: int
    label: Label | None
    orders: bool = False
    critical: bool = False
    mark: str = ""
    upward: bool = False
    pieces: list[tuple[int, Piece]] = []

    @property
    def is_loop(self) -> bool:
        return self.source == self.target


def arrows_of(drawing: Drawing) -> list[Arrow]:
    """One arrow for all links from one item to another, with all their labels."""
    together: dict[tuple[int, int, bool], list[Link]] = defaultdict(list)
    for link in drawing.links:
        together[link.source, link.target, link.orders and link.source != link.target].append(link)
    return [
        Arrow(
            number,
            source,
            target,
            label_of([link.label for link in links]),
            orders,
            any(link.critical for link in links),
            _mark(link.mark for link in links),
        )
        for number, ((source, target, orders), links) in enumerate(together.items())
    ]


def _mark(marks: Iterable[str]) -> str:
    """One of several that was taken is enough; dead they must be all."""
    found = set(marks)
    return TAKEN if TAKEN in found else DEAD if found == {DEAD} else ""


def cut(drawing: Drawing, arrow: Arrow) -> None:
    """Give an arrow its pieces. One from a container to something in it begins inside, at the border; one to what its
    source is inside of ends there."""
    source, target = drawing.line(arrow.source), drawing.line(arrow.target)
    common = 0
    while common < min(len(source), len(target)) and source[common] == target[common]:
        common += 1
    leaving, entering = source[common:], target[common:]  # without what is around both
    main = Piece(arrow, leaving[0] if leaving else BORDER, entering[0] if entering else BORDER, main=True)
    outward = [(holder, Piece(arrow, item, BORDER)) for holder, item in itertools.pairwise(leaving)]
    inward = [(holder, Piece(arrow, BORDER, item)) for holder, item in itertools.pairwise(entering)]
    arrow.pieces = [*reversed(outward), (source[common - 1], main), *inward]
