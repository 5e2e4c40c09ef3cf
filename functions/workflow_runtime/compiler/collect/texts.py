"""Texts inside values, and what of a text stands inside ``${…}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from workflow_runtime.compiler.report import DocumentPath

Json: TypeAlias = Any


def texts_of(value: Json, path: DocumentPath) -> Iterator[tuple[DocumentPath, str]]:
    """Every text in a JSON value, with its document path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_of(item, (*path, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from texts_of(item, (*path, position))


def enclosed_in(text: str) -> list[tuple[int, int]]:
    """The stretches of an expression that stand inside ``${…}``. The text is known to parse."""
    found: list[tuple[int, int]] = []
    opened: list[int | None] = []  # start of each open brace that is a `${`, None for a `{`
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "$" and text.startswith("${", position):
            opened.append(position)
            position += 1
        elif character == "{":
            opened.append(None)
        elif character == "}" and opened:
            start = opened.pop()
            if start is not None:
                found.append((start, position))
        position += 1
    return found
