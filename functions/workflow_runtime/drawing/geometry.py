"""Rectangles, the ways of arrows, and the sizes of texts that pictures are measured with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from workflow_runtime.language.texts import columns

TITLE_COLUMN = 7.7  # of the 14 px title font, per terminal column
DETAIL_COLUMN = 6.1  # of the 11 px font
LINE = 15.0  # from one line of text to the next
LABEL_PADDING = 4.0  # on each side of a label
LABEL_COLUMNS = 24  # a longer label continues on the next line
LABEL_LINES_MAX = 8  # of all arrows that run together; the rest is counted


class Box(msgspec.Struct):
    """A rectangle; ``x``, ``y`` of its upper left corner."""

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0

    @property
    def center(self) -> float:
        return self.x + self.width / 2

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def moved(self, x: float, y: float) -> Box:
        return Box(self.width, self.height, self.x + x, self.y + y)


class Stop(NamedTuple):
    """A vertical piece of an arrow. ``hidden``: behind its label."""

    x: float
    top: float
    bottom: float
    hidden: bool = False

    def moved(self, x: float, y: float) -> Stop:
        return Stop(self.x + x, self.top + y, self.bottom + y, self.hidden)


class Label(msgspec.Struct):
    lines: tuple[str, ...]
    box: Box


def label_of(texts: Sequence[str]) -> Label | None:
    """The texts of arrows that run together, each on lines of its own; None if there are none."""
    lines = [line for text in texts if text for line in _wrapped(text)]
    if len(lines) > LABEL_LINES_MAX:
        more = len(lines) - LABEL_LINES_MAX + 1
        lines = [*lines[: LABEL_LINES_MAX - 1], f"… {more} more lines"]
    if not lines:
        return None
    width = max(map(columns, lines)) * DETAIL_COLUMN + 2 * LABEL_PADDING
    return Label(tuple(lines), Box(width, len(lines) * LINE))


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        if line and columns(line) + 1 + columns(word) > LABEL_COLUMNS:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
