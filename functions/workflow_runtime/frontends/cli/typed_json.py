"""JSON that people write: an object in which a key stands twice is a slip, of which readers would keep the last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from workflow_runtime.language.json_values import DEPTH_MAX, Json, Path, path_text, read_json

HINT = "keep one of them"


class DuplicateKey(ValueError):
    """An object has a key twice. The text is the path of the key."""


def read_typed(text: str | bytes, levels: int = DEPTH_MAX) -> Json:
    """As `json_values.read_json`. Raises `DuplicateKey`, too, for the first key that stands twice in its object."""
    value = read_json(text, levels)
    try:
        _with(_check, text)
    except _Found:
        raise DuplicateKey(path_text(_first_of(_with(_Object, text)))) from None
    return value


def _with(take: Callable[[list[tuple[str, Json]]], Json], text: str | bytes) -> Json:
    """What ``take`` makes of each object of a valid text; numbers do not matter."""
    return json.loads(text, object_pairs_hook=take, parse_int=len, parse_float=len, strict=False)


class _Found(Exception):
    """Some key stands twice; where is not known yet."""


class _Object(list[tuple[str, Json]]):
    """All keys of an object with their values."""


def _check(pairs: list[tuple[str, Json]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _Found


def _first_of(value: Json) -> Path:
    """The path of the first key that stands twice, of each object before those in it; there is one."""
    pending: list[tuple[Path, Json]] = [((), value)]
    while pending:
        path, found = pending.pop()
        if not isinstance(found, list):
            continue
        items: Iterable[tuple[str | int, Json]] = found if isinstance(found, _Object) else enumerate(found)
        inside: list[tuple[Path, Json]] = []
        seen: set[str | int] = set()
        for key, item in items:
            if key in seen:
                return (*path, key)
            seen.add(key)
            inside.append(((*path, key), item))
        pending += reversed(inside)
    raise AssertionError("some key stands twice")
