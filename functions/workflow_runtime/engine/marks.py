"""The marks of a long graph at the top, which are stored apart: ``["wwrss…", {…}]``, before the rest of the state.

They are a letter for each node, and stand there as they are: they need neither be read nor written as JSON, which would
look at each letter, but are cut off before the rest is decoded, and put before it when it was encoded.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

LONG_NODES = 500
"""Nodes of a graph whose marks stand apart; those of a shorter one are sooner encoded than moved."""

_BEGIN, _BETWEEN, _END = b'["', b'",', b"]"
_FIRST, _APART = len(_BEGIN), len(_BETWEEN)

_pair_decoder = msgspec.json.Decoder(tuple[str, Raw])


class LongGraph:
    """A stored graph, to be opened, and its ``marks``, which stood apart."""

    __slots__ = ("marks", "rest")

    def __init__(self, rest: Raw, marks: bytes) -> None:
        self.rest, self.marks = rest, marks

    def opened(self, decoder: msgspec.json.Decoder[T]) -> T:
        """The graph, to change. Raises `msgspec.ValidationError`."""
        graph = decoder.decode(self.rest)
        graph.marks = bytearray(self.marks)  # type: ignore[attr-defined]
        return graph


def cut(data: bytes) -> tuple[bytes, bytes]:
    """A stored state without the marks that stand apart, and these; none if there are none.

    Of a pair that somebody has laid out otherwise than `joined` the rest is no JSON: then it must be `parted`.
    """
    if data[:_FIRST] != _BEGIN:
        return data, b""
    end = data.find(b'"', _FIRST)
    return data[end + _APART : -1], data[_FIRST:end]


def parted(data: bytes) -> tuple[bytes, bytes]:
    """The same, however the JSON is laid out. Raises `msgspec.DecodeError` for a list that is no such pair."""
    if not data.lstrip().startswith(b"["):
        return data, b""
    marks, rest = _pair_decoder.decode(data)
    return bytes(rest), marks.encode()


def joined(encoded: bytes, marks: bytes | bytearray) -> bytes:
    """The opposite: a pair of both."""
    return b"".join((_BEGIN, marks, _BETWEEN, encoded, _END))
