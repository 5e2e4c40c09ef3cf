"""Finds texts in large ones, also as other systems write them: percent-encoded, escaped as in JSON or by ``repr``, in
any case, with ``+`` for a space.

The time is linear in what is searched, whatever stands in it: one automaton looks for the beginnings of all texts at
once, each place costs a comparison or two, and there are `PLACES_MAX` places at the most. Where the places are close
together and the texts few, their beginnings are looked for one by one, for a tenth of what the automaton takes per
place. All is UTF-8: what was lower-cased has its characters where they were, and what was decoded knows where its
pieces stood.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import cache, cached_property
from itertools import accumulate
from typing import Any, TypeAlias

PLACES_MAX = 200_000  # in one text: half a microsecond to three each. A text in which there are more is full of secrets
CLOSE_PLACES = 1_000  # so many in the first `WINDOW_BYTES` are close together
FEW_FORMS_MAX = 64  # each takes as long as forty places in a megabyte
BEGINNING_BYTES = 16  # of a text, to find it by: automata of longer ones are larger, and no faster
AUTOMATON_BYTES_MAX = 32 << 20  # for all beginnings of a thousand texts
WINDOW_BYTES = 64 * 1024  # of what is decoded at once: its pieces take thirty times as much memory
CASED_MAX = 0x1FFFF  # characters beyond the second plane are the same in any case: ideographs, tags, private ones
ESCAPE_BYTES_MAX = 12  # a character as two halves, ``\uXXXX`` each, or four bytes as ``%XX``

Span: TypeAlias = tuple[int, int]
"""Begin and end of what is hidden, in bytes."""


class TooManyPlaces(Exception):
    """There are more than `PLACES_MAX`."""


class Finder:
    """Finds ``texts`` in any case, and ``exact`` ones as they are."""

    def __init__(self, texts: Collection[str], exact: Collection[str] = ()) -> None:
        cases = {form for text in texts for form in (text, text.lower(), text.upper().lower())}
        self._forms = frozenset(form.encode("utf-8", "replace") for form in (*cases, *exact) if form)
        self._reach = ESCAPE_BYTES_MAX * (1 + max(map(len, texts), default=0))
        self._beginning_with: dict[bytes, list[bytes]] = {}
        for form in sorted(self._forms, key=len, reverse=True):
            self._beginning_with.setdefault(form[:BEGINNING_BYTES], []).append(form)
        self._candidates: dict[bytes, list[bytes]] = {}

    def __bool__(self) -> bool:
        return bool(self._forms)

    @cached_property
    def _automaton(self) -> Any:
        import re2

        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes: a beginning may end within a character
        options.longest_match = True
        options.max_mem = AUTOMATON_BYTES_MAX
        options.log_errors = False
        return re2.compile(b"|".join(map(re2.escape, sorted(self._beginning_with))), options)

    def spans(self, data: bytes) -> list[Span]:
        """Where any of the texts stands. Spans may overlap. Raises `TooManyPlaces`."""
        spans: list[Span] = []
        if self._forms:
            self._look(data, spans)
            for encoding in _encodings_in(data):
                for at, window in self._windows(data):
                    pieces = encoding.split(window)
                    if len(pieces) > 1:
                        spans += self._spans_decoded(encoding, pieces, at, len(spans))
        return spans

    def _spans_decoded(self, encoding: _Encoding, pieces: Sequence[bytes], at: int, found: int) -> Iterator[Span]:
        decoded = encoding.decoded(pieces)
        spans: list[Span] = [(0, 0)] * found  # they count
        self._look(b"".join(decoded), spans)
        if len(spans) == found:
            return
        ends, origins = list(accumulate(map(len, decoded))), list(accumulate(map(len, pieces)))

        def origin(place: int) -> Span:
            """Where the byte that stands at a place when it is decoded begins and ends."""
            piece = bisect_right(ends, place)
            end = origins[piece]
            if piece % 2:
                return end - len(pieces[piece]), end
            begin = end - (ends[piece] - place)
            return begin, begin + 1

        for begin, end in spans[found:]:
            yield at + origin(begin)[0], at + origin(end - 1)[1]

    def _windows(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Parts with their places. They overlap by as much as the longest text takes when all of it is encoded, and by
        one more escape, which the next part may begin in the middle of."""
        step = max(WINDOW_BYTES, self._reach)
        for at in range(0, len(data), step):
            yield at, data[at : at + step + self._reach]

    def _look(self, data: bytes, spans: list[Span]) -> None:
        """Add where texts stand as they are, in lower case, and with ``+`` for a space."""
        self._look_once(data, spans)
        lower = _lower(data)
        if lower != data:
            self._look_once(lower, spans)
        if b"+" in lower:
            self._look_once(lower.replace(b"+", b" "), spans)

    def _look_once(self, data: bytes, spans: list[Span]) -> None:
        """What begins at one place is hidden to the end of the longest text that does; the next place may be inside."""
        places = len(spans)
        for begin, forms in self._places(data):
            places += 1
            if places > PLACES_MAX:
                raise TooManyPlaces
            for form in forms:
                if data.startswith(form, begin):
                    spans.append((begin, begin + len(form)))
                    break

    def _places(self, data: bytes) -> Iterator[tuple[int, list[bytes]]]:
        """Where a text may begin, each place once, with those that may begin there, the longest first."""
        search = self._automaton.search
        match, found = search(data), 0
        while match is not None:
            begin, end = match.span()
            yield begin, self._of(data[begin:end])
            found += 1
            if found == CLOSE_PLACES and begin < WINDOW_BYTES and len(self._forms) <= FEW_FORMS_MAX:
                for beginning, forms in self._by_shortest_beginning.items():
                    place = data.find(beginning, begin + 1)
                    while place >= 0:
                        yield place, forms
                        place = data.find(beginning, place + 1)
                return
            match = search(data, begin + 1)

    @cached_property
    def _by_shortest_beginning(self) -> dict[bytes, list[bytes]]:
        """The texts by beginnings of which none begins with another: there is at most one of them at a place."""
        found: dict[bytes, list[bytes]] = {}
        for beginning in sorted(self._beginning_with):  # one that begins others stands before them
            shortest = next((other for other in found if beginning.startswith(other)), beginning)
            found.setdefault(shortest, []).extend(self._beginning_with[beginning])
        return {beginning: sorted(forms, key=len, reverse=True) for beginning, forms in found.items()}

    def _of(self, beginning: bytes) -> list[bytes]:
        """The texts that may stand where the automaton found this, the longest first."""
        candidates = self._candidates.get(beginning)
        if candidates is None:
            begun = (self._beginning_with.get(beginning[:size], ()) for size in range(len(beginning), 0, -1))
            candidates = self._candidates[beginning] = [form for forms in begun for form in forms]
        return candidates


def without(data: bytes, spans: list[Span], mask: bytes) -> bytes:
    """``mask`` in place of what the spans cover."""
    parts: list[bytes] = []
    shown = 0
    for begin, end in sorted(spans):
        if begin >= shown and (begin > shown or not parts):
            parts += (data[shown:begin], mask)
        shown = max(shown, end)
    return b"".join((*parts, data[shown:]))


def _lower(data: bytes) -> bytes:
    """In lower case, each character in its place: those whose lower case takes other room stay as they are."""
    if data.isascii():
        return data.lower()
    text = data.decode("utf-8", "surrogateescape")
    lower = text.lower().encode("utf-8", "surrogateescape")
    if len(lower) == len(data):
        return lower
    pieces = _of_other_room().split(text)
    pieces[::2] = [piece.lower() for piece in pieces[::2]]
    return "".join(pieces).encode("utf-8", "surrogateescape")


@cache
def _of_other_room() -> re.Pattern[str]:
    """Characters whose lower case takes more or fewer bytes: ``İ``, ``ẞ``, the signs of Kelvin and Ohm."""
    letters = (chr(code) for code in range(0x80, CASED_MAX + 1) if not 0xD800 <= code < 0xE000)
    other = [letter for letter in letters if len(letter.lower().encode()) != len(letter.encode())]
    return re.compile(f"([{''.join(other)}])")


class _Encoding:
    """How a system writes characters: ``mark`` begins each that is encoded, ``pattern`` is all of it."""

    mark: bytes
    pattern: re.Pattern[bytes]

    def split(self, data: bytes) -> list[bytes]:
        """Pieces in turn as they are (even places) and encoded (odd ones)."""
        return self.pattern.split(data)

    def decoded(self, pieces: Sequence[bytes]) -> list[bytes]:
        known = _Known(self.decode)
        decoded = list(pieces)
        decoded[1::2] = map(known.__getitem__, pieces[1::2])
        return decoded

    def decode(self, piece: bytes) -> bytes:
        raise NotImplementedError


class _Known(dict[bytes, bytes]):
    """What pieces are, each decoded once."""

    def __init__(self, decode: Any) -> None:
        self._decode = decode

    def __missing__(self, piece: bytes) -> bytes:
        found: bytes = self._decode(piece)
        self[piece] = found
        return found


class _Percent(_Encoding):
    mark = b"%"
    pattern = re.compile(rb"(%[0-9A-Fa-f]{2})")

    def decode(self, piece: bytes) -> bytes:
        return bytes.fromhex(piece[1:].decode())


_CONTROLS = {rb"\b": b"\b", rb"\f": b"\f", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t"}


class _Escapes(_Encoding):
    """Of JSON, JavaScript and Python's texts."""

    mark = b"\\"
    pattern = re.compile(
        rb"(\\(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[\"'\\/bfnrt]))"
    )

    def decode(self, piece: bytes) -> bytes:
        if piece[1] == ord("x"):
            return chr(int(piece[2:], 16)).encode()
        if piece[1] == ord("U"):
            code = int(piece[2:], 16)
            return chr(code).encode("utf-8", "replace") if code <= sys.maxunicode else piece
        if piece[1] == ord("u"):
            halves = bytes.fromhex(piece.replace(b"\\u", b"").decode())
            return halves.decode("utf-16-be", "replace").encode()
        return _CONTROLS.get(piece, piece[1:])


class _BytesEscapes(_Escapes):
    """Of Python's bytes: ``\\xXX`` is a byte, not a character."""

    mark = b"\\x"

    def decode(self, piece: bytes) -> bytes:
        return bytes.fromhex(piece[2:].decode()) if piece[1] == ord("x") else super().decode(piece)


_ENCODINGS = (_Percent(), _Escapes(), _BytesEscapes())


def _encodings_in(data: bytes) -> list[_Encoding]:
    return [encoding for encoding in _ENCODINGS if encoding.mark in data]
