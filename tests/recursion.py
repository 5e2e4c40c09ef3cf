"""A budget of calls in each other, as whoever is called deep inside of others has."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def calls_left(count: int) -> Iterator[None]:
    """Code in it may recurse ``count`` calls deep; beyond, Python raises `RecursionError`."""
    frame, depth = inspect.currentframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + count)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
