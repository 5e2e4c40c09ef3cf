"""From bytes to text that the parser can take: encoding, size, control characters."""

from __future__ import annotations

import re

from workflow_runtime.findings import Rule
from workflow_runtime.language.yaml import rules

MAX_SOURCE_BYTES = 4 * 1024 * 1024

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What the parser counts as the end of a line."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class Unreadable(Exception):
    """The content cannot be parsed at all. Line and column count from 1."""

    def __init__(self, rule: Rule, message: str, line: int = 1, column: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint


def read_text(content: str | bytes) -> str:
    """The text of a file. Raises `Unreadable` for what is not UTF-8, too large, or holds control characters."""
    size = len(content) if isinstance(content, bytes) or len(content) > MAX_SOURCE_BYTES else _encoded_size(content)
    if size > MAX_SOURCE_BYTES:
        raise Unreadable(rules.TOO_LARGE, f"the file has {size:,} bytes; at most {MAX_SOURCE_BYTES:,} are allowed")
    text = _decode(content) if isinstance(content, bytes) else content
    text = text.removeprefix("\ufeff")
    wrong = _FORBIDDEN.search(text)
    if wrong is not None:
        line, column = place_of(text, wrong.start())
        raise Unreadable(rules.UNREADABLE, f"the character U+{ord(wrong[0]):04X} is not allowed here", line, column)
    return _join_surrogates(text) if text.lstrip()[:1] in ("{", "[") else text


def place_of(text: str, index: int) -> tuple[int, int]:
    """Line and column (from 1) of a character."""
    line, start = 1, 0
    for found in LINE_BREAK.finditer(text, 0, index):
        line, start = line + 1, found.end()
    return line, index - start + 1


def _encoded_size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(rules.UNREADABLE, "the file is UTF-16, not UTF-8")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = place_of(before, len(before))
        raise Unreadable(rules.UNREADABLE, f"byte 0x{content[error.start]:02X} is not UTF-8", line, column) from None


def _join_surrogates(text: str) -> str:
    """JSON writes characters beyond U+FFFF as two escapes, which YAML refuses; in a JSON document they become one."""

    def join(found: re.Match[str]) -> str:
        high, low = int(found[2], 16), int(found[3], 16)
        return f"{found[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"

    return _SURROGATES.sub(join, text)
