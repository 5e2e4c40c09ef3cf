"""How texts from outside are shown: on one line, no wider than there is room for, and without control of the terminal.

Everything that is drawn, listed or logged for people passes through here. No function looks at more of a text than it
shows, except `visible` and `columns`, which show and measure the whole in one pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import msgspec

LABEL_COLUMNS = 36
"""Longer texts in drawings and tables are cut: these are overviews."""

QUOTED_COLUMNS = 60
"""What a message quotes of a text: enough to recognise it by."""

CHARACTERS_PER_COLUMN = 4
"""How many characters may stand in one column: a letter with three marks, as Vietnamese or pointed Hebrew has them."""

LINE_CHARS_MAX = 2_000
"""Of a line of a log or a traceback: more is a payload in disguise."""

DEPTH_SHOWN_MAX = 64
"""Levels of a value that a preview goes into; few fit on a line."""

_JOINERS = "\u200c\u200d"
"""Format characters that ordinary Persian, Hindi and emoji are written with; unlike others they move nothing."""
_ZERO_WIDTH = ("Mn", "Me", "Cf")
_ESCAPES = re.compile(r"\\[^u]|(?:\\u[0-9a-fA-F]{4})+")


def visible(text: str) -> str:
    """Control and format characters (bidirectional overrides among them) shown, not obeyed: no text moves the cursor,
    rings the bell, or turns round what is beside it."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _shown(character) for character in text)


def visible_lines(text: str) -> str:
    """`visible`, except for line breaks: of a traceback, or a log record."""
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))


def spelled_out(json: str) -> str:
    """JSON text, or its beginning, with letters of other scripts as themselves where it has ``\\uXXXX`` for them."""
    return _ESCAPES.sub(_letters, json)


def _letters(match: re.Match[str]) -> str:
    escaped = match[0]
    if not escaped.startswith("\\u"):
        return escaped
    halves = bytes.fromhex(escaped.replace("\\u", ""))
    try:
        text = halves.decode("utf-16-be")
    except UnicodeDecodeError:  # half of a character
        return escaped
    return text if text.isprintable() and '"' not in text and "\\" not in text else escaped


def counted(number: int, what: str) -> str:
    """``1 node``, ``2,000 nodes``."""
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def cut(text: str, characters_max: int = LINE_CHARS_MAX) -> str:
    """The beginning of a text as it is; ``…`` stands for the rest."""
    return text if len(text) <= characters_max else f"{text[: characters_max - 1]}…"


def log_lines(text: str) -> str:
    """`visible_lines`, each `cut`."""
    if len(text) <= LINE_CHARS_MAX:
        return visible_lines(text)
    return "\n".join(visible(cut(line)) for line in text.split("\n"))


def _shown(character: str) -> str:
    if character == "\t":
        return "    "
    if character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def columns(text: str) -> int:
    """Width of a text in terminal columns: East Asian wide characters take two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns_max: int = LABEL_COLUMNS) -> str:
    """The beginning of a text on one line, made `visible`, in at most so many columns; ``…`` stands for the rest."""
    characters_max = columns_max * CHARACTERS_PER_COLUMN
    line = visible(" ".join(text[:characters_max].split()))
    cut = len(text) > characters_max
    width = end = 0
    for position, character in enumerate(line, 1):
        width += _width(character)
        if width > columns_max or position > characters_max:
            cut = True
            break
        if width < columns_max:
            end = position  # from here on, `…` still has room
    return f"{line[:end]}…" if cut else line


def quoted(text: str, columns_max: int = QUOTED_COLUMNS) -> str:
    """The beginning of a text in backticks, for a sentence; as `shorten` does it."""
    return f"`{shorten(text, columns_max)}`"


def preview(value: object, columns_max: int = LABEL_COLUMNS) -> str:
    """The beginning of a value's JSON text, as `shorten` does it, without writing the rest."""
    written: list[str] = []
    room = columns_max * CHARACTERS_PER_COLUMN
    for piece in _json_pieces(value, room, 0):
        written.append(piece)
        room -= len(piece)
        if room < 0:
            break
    return shorten("".join(written), columns_max)


def _json_pieces(value: object, characters_max: int, depth: int) -> Iterator[str]:
    """The JSON text of a value piece by piece; longer texts in it are cut."""
    if depth > DEPTH_SHOWN_MAX:
        yield "…"
    elif isinstance(value, str):
        yield _json(value[: characters_max + 1])
    elif isinstance(value, dict):
        for number, (name, item) in enumerate(value.items()):
            yield f"{',' if number else '{'}{_json(str(name)[: characters_max + 1])}:"
            yield from _json_pieces(item, characters_max, depth + 1)
        yield "}" if value else "{}"
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield "," if number else "["
            yield from _json_pieces(item, characters_max, depth + 1)
        yield "]" if value else "[]"
    else:
        yield _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
