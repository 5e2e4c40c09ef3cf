"""The marks of a long graph, which stay in the text that is stored.

It is base64, a byte for each node, so that four characters, a quad, are three marks, and each quad can be decoded, and
encoded, on its own: a turn decodes those of the nodes that it looks at, and encodes those of the nodes that it changes.
Nor is the text read or written as JSON, which would look at each character: that of the graph at the top is cut out
of a state before it is decoded (`marks_of_top`), and all are put where the encoded state has a `GAP`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

LONG_BYTES = 4_000  # of a stored graph: a shorter one is decoded whole, which costs less than looking for single marks
_TEXT_BYTES = LONG_BYTES // 2  # of its marks: with fewer there is nothing to be gained

GAP = b"\0"
"""Stands for marks in an encoded state. JSON has no such byte anywhere."""

_QUOTED_GAP = Raw(b'"%b"' % GAP)

_QUAD, _QUAD_MARKS = 4, 3
_HEAD = b'{"is":"graph","marks":"'
"""What stored graphs begin with."""
_TOP = b'"scopes":{"":' + _HEAD
"""Where the graph at the top begins in a stored state: only an id, a hash and a number are before it. No text has this
in it, as quotes are escaped there; a value inside of the state may, but that is in braces of its own."""


class _Quads(dict[int, bytearray]):
    """The marks of quads, by place, each decoded when it is first asked for: of the text from ``begin`` to ``end`` of
    ``data``."""

    __slots__ = ("begin", "data", "end")

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        super().__init__()
        self.data, self.begin, self.end = data, begin, end

    def __missing__(self, quad: int) -> bytearray:
        begin = self.begin + quad * _QUAD
        if not self.begin <= begin < self.end:
            raise IndexError(f"there are {(self.end - self.begin) // _QUAD} quads")
        marks = self[quad] = bytearray(a2b_base64(self.data[begin : begin + _QUAD]))
        return marks


class Marks:
    """What a ``bytearray`` of marks would be to who reads and sets single ones, goes through all, or copies them.

    Made of their text, which is somewhere in ``data``.
    """

    __slots__ = ("_changed", "_quads")

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        self._quads = _Quads(data, begin, end)
        self._changed: set[int] = set()

    def __len__(self) -> int:
        quads = self._quads
        return (quads.end - quads.begin) // _QUAD * _QUAD_MARKS - quads.data.count(b"=", quads.end - 2, quads.end)

    def __getitem__(self, node: int) -> int:
        return self._quads[node // _QUAD_MARKS][node % _QUAD_MARKS]

    def __setitem__(self, node: int, mark: int) -> None:
        quad = node // _QUAD_MARKS
        self._quads[quad][node % _QUAD_MARKS] = mark
        self._changed.add(quad)

    def __iter__(self) -> Iterator[int]:
        """As they are by then, when some are set meanwhile."""
        quads = self._quads
        stored = a2b_base64(quads.data[quads.begin : quads.end])
        for node, mark in enumerate(stored):
            known = quads.get(node // _QUAD_MARKS)
            yield mark if known is None else known[node % _QUAD_MARKS]

    def copy(self) -> Marks:
        quads = self._quads
        if not self._changed:
            return Marks(quads.data, quads.begin, quads.end)
        text = b"".join(self.pieces())
        return Marks(text, 0, len(text))

    @staticmethod
    def with_gap() -> Raw:
        """What stands for them in an encoded state until that is `filled`."""
        return _QUOTED_GAP

    def pieces(self) -> list[bytes | memoryview]:
        """The text as it is now."""
        quads = self._quads
        data, place = memoryview(quads.data), quads.begin
        found: list[bytes | memoryview] = []
        for quad in sorted(self._changed):
            begin = quads.begin + quad * _QUAD
            found.append(data[place:begin])
            found.append(b2a_base64(quads[quad], newline=False))
            place = begin + _QUAD
        found.append(data[place : quads.end])
        return found


class LongGraph:
    """A stored graph that has its marks taken out of it: the ``rest``, and in which ``data`` its marks are."""

    __slots__ = ("_begin", "_data", "_end", "rest")

    def __init__(self, rest: Raw, data: bytes, begin: int, end: int) -> None:
        self.rest = rest
        self._data, self._begin, self._end = data, begin, end

    @property
    def marks(self) -> Marks:
        """Its marks, to change."""
        return Marks(self._data, self._begin, self._end)

    def with_gap(self) -> Raw:
        """What stands for it in an encoded state until that is `filled`."""
        return Raw(_HEAD + GAP + bytes(self.rest)[len(_HEAD) :])


def marks_of_top(data: bytes) -> tuple[int, int] | None:
    """Where in a stored state the marks of the graph at the top are; None if they are few."""
    begin = data.find(_TOP)
    is_top = begin >= 0 and data.find(b"{", 1, begin) < 0
    return _marks_at(data, begin + len(_TOP)) if is_top else None


def _marks_at(data: bytes, begin: int) -> tuple[int, int] | None:
    """From where to where the marks are that begin here; None if there is nothing to be gained."""
    end = data.find(b'"', begin)
    is_long = end - begin >= _TEXT_BYTES and data.find(b"\\", begin, end) < 0  # which nothing of ours writes
    return (begin, end) if is_long else None


def opened(stored: Raw | LongGraph, decoder: msgspec.json.Decoder[T]) -> T:
    """A stored scope, to change. Raises `msgspec.ValidationError`."""
    if isinstance(stored, LongGraph):
        return _with(stored.marks, decoder.decode(stored.rest))
    if len(stored) < LONG_BYTES:
        return decoder.decode(stored)
    data = bytes(stored)
    place = _marks_at(data, len(_HEAD)) if data.startswith(_HEAD) else None
    if place is None:
        return decoder.decode(data)
    begin, end = place
    return _with(Marks(data, begin, end), decoder.decode(data[:begin] + data[end:]))


def _with(marks: Marks, graph: T) -> T:
    graph.marks = marks  # type: ignore[attr-defined]  # it began like one
    return graph


def filled(encoded: bytes, scopes: Iterable[object]) -> bytes:
    """A state that was encoded with a `GAP` for the marks of each long graph among its scopes."""
    before, *others = encoded.split(GAP)
    pieces: list[bytes | memoryview] = [before]
    gaps = iter(others)
    for scope in scopes:
        if type(marks := getattr(scope, "marks", None)) is Marks:
            pieces += marks.pieces()
            pieces.append(next(gaps))
    return b"".join(pieces)
