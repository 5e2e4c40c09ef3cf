"""Pruning: of a value, the parts that decisions read, in their places, so that formulas work on it unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_runtime.language.json_values import Json


def prune(value: Json, paths: Sequence[tuple[str, ...]]) -> Json:
    """``value`` reduced to ``paths`` (none of which is a prefix of another); ``()`` is all of it.

    A value other than an object where a path goes on is kept whole if it is a list (an index may follow), else as it
    is: reading on then leads nowhere, exactly as in the original.
    """
    if () in paths or not isinstance(value, dict):
        return value
    inside: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        inside.setdefault(path[0], []).append(path[1:])
    return {key: prune(value[key], further) for key, further in inside.items() if key in value}
