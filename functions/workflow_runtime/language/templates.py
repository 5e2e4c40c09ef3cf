"""Recognising ``${…}`` in a text, without compiling what is inside."""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTED_OR_BRACE = re.compile(r"""[{}]|"(?:[^"\\]|\\.?)*+"?|'(?:[^'\\]|\\.?)*+'?""", re.DOTALL)
"""A quoted string, which may lack its end, or a brace."""


def has_template(value: object) -> bool:
    """True when ``value`` is text with a ``${`` in it that is not escaped (``$${``)."""
    return isinstance(value, str) and "${" in value and "${" in value.replace("$${", "")


def is_one_template(text: str) -> bool:
    """True when ``text`` is one ``${…}`` with nothing but white space around it."""
    stripped = text.strip()
    return stripped.startswith("${") and closing_brace(stripped, 0) == len(stripped) - 1


def is_cut(text: str) -> bool:
    """True when the last ``${`` of ``text`` is never closed."""
    start = text.rfind("${")
    return start >= 0 and closing_brace(text, start) < 0


def closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes the ``${`` at ``start``, quotes respected; -1 when there is none."""
    depth = 0
    for position, brace in _braces(text, start + 1):
        if brace == "{":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return position
    return -1


def enclosed_in(text: str) -> list[tuple[int, int]]:
    """The stretches of an expression that stand inside ``${…}``. The text is known to parse."""
    found: list[tuple[int, int]] = []
    opened: list[int | None] = []  # start of each open brace that is a `${`, None for a `{`
    for position, brace in _braces(text):
        if brace == "{":
            opened.append(position - 1 if text[position - 1 : position] == "$" else None)
        elif opened:
            start = opened.pop()
            if start is not None:
                found.append((start, position))
    return found


def _braces(text: str, start: int = 0) -> Iterator[tuple[int, str]]:
    """The braces from ``start`` on that are outside of quoted strings, with their positions."""
    return ((found.start(), found[0]) for found in _QUOTED_OR_BRACE.finditer(text, start) if found[0] in "{}")
