"""What random edits of documents are made of."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

LEAVES: list[Any] = [
    None, True, 0, -1, 2**63, 1e308, "", " ", "x" * 5000, "é\u202e字\x1b[31m", "${",
    "${x}", "${x.*[0]}", "$${x}", "${1 +}",
    "${" + "(" * 60 + "1" + ")" * 60 + "}", "${matches(x, '(?i)\\\\pL{50}')}", "end", "start", "n0", "n1",
    "5m", "1s", "P1D",
    "* * * * *", [], {}, ["n0"], [["n0"]], {"id": "n0"}, {"type": "tool"}, [[[[[[[[]]]]]]]],
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def somewhere(random: Random, document: Any) -> tuple[Any, Any] | None:
    """A random place in a document: what holds it, and its key there. None: there is none."""
    paths = list(places(document))
    if not paths:
        return None
    *above, key = random.choice(paths)
    holder = document
    for step in above:
        holder = holder[step]
    return holder, key
