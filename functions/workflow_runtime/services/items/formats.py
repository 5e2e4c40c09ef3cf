"""The items in a file's bytes, one by one: a JSON list, JSON Lines, or CSV with a header.

The bytes come in parts of any size; no more than one part and one item are held. Everything raises `NodeError`:
``validation_error`` for what is malformed, with its line, and ``too_large`` for what is too long for an item.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NoReturn

from workflow_runtime.errors import NodeError
from workflow_runtime.language.json_values import Json, read_json
from workflow_runtime.language.texts import shorten

ITEM_BYTES_MAX = 256 * 1024  # of one item in the file: what a pass is for should be small; it may name something large
TEXT_SHOWN = 60

_BOM = codecs.BOM_UTF8
_FOREIGN = {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip archive, or a spreadsheet",
}
_SPACE = re.compile(r"[ \t\r\n]*")
_CUT_OFF = 16  # characters: the longest that a decoder looks ahead


def items_in(parts: Iterable[bytes], format: str) -> Iterator[Json]:
    """The items of a file, in order."""
    parts = _without_mark(parts)
    match format:
        case "json":
            return _listed(parts)
        case "jsonl":
            return _lines(parts)
        case _:
            return _rows(parts)


def _without_mark(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts without a byte order mark of UTF-8."""
    for number, part in enumerate(parts):
        if number:
            yield part
            continue
        for mark, name in _FOREIGN.items():
            if part.startswith(mark):
                raise NodeError("validation_error", f"the file is {name}; it must be plain text in UTF-8")
        yield part.removeprefix(_BOM)


def _malformed(line: int, reason: str) -> NoReturn:
    raise NodeError("validation_error", f"line {line:,}: {reason}")


def _too_long(line: int) -> NoReturn:
    raise NodeError("too_large", f"line {line:,}: an item is longer than {ITEM_BYTES_MAX:,} bytes")


def _numbered_lines(parts: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, from 1 on, and their ends."""
    number, rest = 0, b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            number += 1
            yield number, _decoded(number, line) + "\n"
        if len(rest) > ITEM_BYTES_MAX:
            _too_long(number + 1)
    if rest:
        yield number + 1, _decoded(number + 1, rest)


def _decoded(number: int, line: bytes) -> str:
    if len(line) > ITEM_BYTES_MAX:
        _too_long(number)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        _malformed(number, f"byte {error.start + 1} is not UTF-8, in which the file must be")


# ---- JSON Lines


def _lines(parts: Iterable[bytes]) -> Iterator[Json]:
    for number, line in _numbered_lines(parts):
        if not line.isspace():
            try:
                yield read_json(line)
            except ValueError as error:
                _malformed(number, f"it is not JSON ({error}): {shorten(line.strip(), TEXT_SHOWN)}")


# ---- CSV


def _rows(parts: Iterable[bytes]) -> Iterator[Json]:
    lines = _RowLines(parts)
    rows = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        lines.start()
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "field larger" in str(error):
                _too_long(lines.first)
            _malformed(lines.first, f"it is not CSV ({error})")
        if row is None:
            return
        if not row:
            continue
        if header is None:
            header = row
            _check_header(lines.first, header)
        elif len(row) != len(header):
            _malformed(lines.first, f"{len(row):,} fields, and the header has {len(header):,}")
        else:
            yield dict(zip(header, row, strict=True))


class _RowLines:
    """Lines for a reader of rows, which may take several for one, but not any number. ``first``: of the row at hand."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._lines = _numbered_lines(parts)
        self._size = self._number = 0
        self.first = 1

    def start(self) -> None:
        self._size, self.first = 0, self._number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._number, line = next(self._lines)
        self._size += len(line)
        if self._size > ITEM_BYTES_MAX:
            _too_long(self.first)
        return line


def _check_header(line: int, header: list[str]) -> None:
    for name, following in pairwise(sorted(header)):
        if name == following:
            _malformed(line, f"the header names {name!r} twice")
    if "" in header:
        _malformed(line, f"column {header.index('') + 1} has no name in the header")


# ---- a JSON list


def _listed(parts: Iterable[bytes]) -> Iterator[Json]:
    text = _Text(parts)
    first = text.next_character()
    if first != "[":
        found = f"it begins with {first!r}" if first else "it is empty"
        hint = "with an item in each line its format is jsonl"
        _malformed(text.line, f"the file must be one JSON list, and {found}; {hint}")
    text.skip()
    if text.next_character() == "]":
        text.skip()
    else:
        yield from text.values()
    if text.next_character():
        _malformed(text.line, "there is something after the end of the list")


class _Text:
    """A text that is read from its front, with as much of it at hand as an item may have."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._decoder = json.JSONDecoder()
        self._text, self._at, self._line, self._is_whole = "", 0, 1, False

    @property
    def line(self) -> int:
        """The number of the line at hand; counted, so only asked for where something is wrong."""
        return self._line_of(self._at)

    def _line_of(self, place: int) -> int:
        return self._line + self._text.count("\n", 0, place)

    def _fill(self) -> None:
        while not self._is_whole and len(self._text) - self._at <= ITEM_BYTES_MAX:
            self._line = self.line
            part = next(self._parts, None)
            self._is_whole = part is None
            try:
                more = self._decode(part or b"", self._is_whole)
            except UnicodeDecodeError as error:
                line = self._line + self._text.count("\n", self._at) + error.object[: error.start].count(b"\n")
                _malformed(line, "a byte is not UTF-8, in which the file must be")
            self._text, self._at = self._text[self._at :] + more, 0

    def next_character(self) -> str:
        """The next one that is not white space; "" at the end."""
        while True:
            self._fill()
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space is not None else self._at
            if self._at < len(self._text) or self._is_whole:
                return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        self._at += 1

    def values(self) -> Iterator[Json]:
        """The values up to the end of the list."""
        while True:
            self.next_character()
            yield self._next_value()
            character = self.next_character()
            if character not in (",", "]"):
                found = f"{character!r} stands" if character else "the file ends"
                _malformed(self.line, f"{found} where a comma or the end of the list should be")
            self.skip()
            if character == "]":
                return

    def _next_value(self) -> Json:
        try:
            _, end = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            is_cut_off = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _CUT_OFF
            if is_cut_off and not self._is_whole:
                _too_long(self.line)
            _malformed(self._line_of(error.pos), f"it is not JSON ({error.msg})")
        except RecursionError:
            _malformed(self.line, "an item is nested too deep")
        item = self._text[self._at : end]
        try:
            value = read_json(item)
        except ValueError as error:
            _malformed(self.line, f"an item is not JSON ({error})")
        self._at = end
        return value
