"""What the start of every process has in common."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """What a process imports and makes at its start it keeps. Looking through it for garbage, again and again while it
    grows, would take a tenth of the time of imports, and half of what AWS clients take; later collections pass over it,
    too. A process has one start: another time, collections only wait.
    """
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.enable()
