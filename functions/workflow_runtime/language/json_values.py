"""JSON values: what flows between nodes, is stored, and travels in messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of Json, dict of str to Json."""


Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from a document's top to a value in it."""

_SIMPLE_KEY = re.compile(r"[\w-]+\Z")


def path_text(path: Sequence[str | int]) -> str:
    """``nodes[2].inputs.text``; keys that are not plain names stand in brackets and quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _SIMPLE_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def walk_texts(value: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in a JSON value (tuples count as lists; keys are not texts), with its path below ``path``."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk_texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from walk_texts(item, (*path, position))
