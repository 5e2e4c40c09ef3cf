"""Recognising ``${…}`` in a text, without compiling what is inside."""

from __future__ import annotations

from collections.abc import Iterator


def has_template(value: object) -> bool:
    """True when ``value`` is text with a ``${`` in it that is not escaped (``$${``)."""
    return isinstance(value, str) and "${" in value.replace("$${", "")


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
    for position in _unquoted(text, start + 1):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return -1


def enclosed_in(text: str) -> list[tuple[int, int]]:
    """The stretches of an expression that stand inside ``${…}``. The text is known to parse."""
    found: list[tuple[int, int]] = []
    opened: list[int | None] = []  # start of each open brace that is a `${`, None for a `{`
    for position in _unquoted(text):
        if text[position] == "{":
            opened.append(position - 1 if text[position - 1 : position] == "$" else None)
        elif text[position] == "}" and opened:
            start = opened.pop()
            if start is not None:
                found.append((start, position))
    return found


def _unquoted(text: str, start: int = 0) -> Iterator[int]:
    """The positions from ``start`` on that are outside of quoted strings."""
    quote = ""
    position = start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        else:
            yield position
        position += 1
