"""What is left behind in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def made_meanwhile(kind: type) -> Iterator[Callable[[], int]]:
    """What is called counts objects of this type that were made since, and that something still refers to."""

    def count() -> int:
        gc.collect()
        return sum(isinstance(each, kind) for each in gc.get_objects())

    gc.freeze()  # what there is already takes no part, now or later: neither its time nor its objects
    yield count
