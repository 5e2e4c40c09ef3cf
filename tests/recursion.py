"""A budget of calls in each other, as whoever is called deep inside of others has."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def calls_left(count: int) -> Iterator[None]:
    """Code in it may recurse ``count`` calls deep; beyond, Python raises `RecursionError`."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + count)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
