"""Where the values of a document stand: a tree beside the values, small enough for hundreds of thousands of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Position: TypeAlias = int
"""Line and column in one integer: a file has very many of them."""

_COLUMN_BITS = 23
_COLUMN_MASK = (1 << _COLUMN_BITS) - 1


def position(line: int, column: int) -> Position:
    """Pack a line and a column (both from 1)."""
    return line << _COLUMN_BITS | column


def unpack(packed: Position) -> tuple[int, int]:
    return packed >> _COLUMN_BITS, packed & _COLUMN_MASK


class MappingPlace:
    """Place of a mapping: of itself, of its keys, and of what stands under them."""

    __slots__ = ("children", "keys", "position")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.keys: dict[str, Position] = {}
        self.children: dict[str, Place] = {}


class SequencePlace:
    """Place of a sequence and of its elements."""

    __slots__ = ("children", "position")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.children: list[Place] = []


Place: TypeAlias = Position | MappingPlace | SequencePlace
"""A scalar's place is only its position."""


def position_of(place: Place) -> Position:
    return place if isinstance(place, int) else place.position


def locate(place: Place, path: Sequence[str | int], *, at_key: bool = False) -> Position:
    """Where the deepest part of ``path`` below ``place`` stands; a value that starts below its key is at its key.
    ``at_key``: so is any other at the end of the path."""
    at = key = position_of(place)
    for step in path:
        if isinstance(place, MappingPlace) and isinstance(step, str) and step in place.children:
            key, place = place.keys[step], place.children[step]
            at = shown_position(key, place)
        elif isinstance(place, SequencePlace) and isinstance(step, int) and 0 <= step < len(place.children):
            place = place.children[step]
            at = key = position_of(place)
        else:
            return at
    return key if at_key else at


def shown_position(key: Position, place: Place) -> Position:
    """Where to point for a value under ``key``: at the value, or at the key if the value starts on another line."""
    value = position_of(place)
    return value if unpack(value)[0] == unpack(key)[0] else key
