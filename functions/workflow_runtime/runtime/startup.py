"""What the start of every process has in common."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_starts = count()


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """What a process imports and makes at its start it keeps. Looking through it for garbage, again and again while it
    grows, would take a tenth of the time of imports, and half of what AWS clients take; later collections pass over it,
    too. A process has one start: another time, collections only wait.

    `gc.get_freeze_count` would tell, too, but it counts objects one by one: for a test suite's million, a sixth of a
    second.
    """
    gc.disable()
    try:
        yield
    finally:
        if next(_starts) == 0:
            gc.freeze()
        gc.enable()
