"""Ids of events and requests from outside that were taken, so that repeats have no effect (promise P6)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from workflow_runtime.engine.turn import Turn

APPLIED_MAX = 4_096
APPLIED_MS = 24 * 3600 * 1000
TAKEN = "this event was taken already"
REQUEST_TAKEN = "this request was taken already"


def is_known(turn: Turn, event_id: str) -> bool:
    return _identity(event_id) in turn.state.applied


def remember(turn: Turn, event_id: str) -> None:
    """The event is taken now. The oldest ids are forgotten."""
    applied = turn.state.applied
    applied[_identity(event_id)] = turn.now
    while True:
        oldest = next(iter(applied))
        if applied[oldest] > turn.now - APPLIED_MS and len(applied) <= APPLIED_MAX:
            break  # at the latest at the one that has just been added
        del applied[oldest]


@lru_cache(maxsize=16)  # each is asked for twice: whether it is known, and to remember it
def _identity(event_id: str) -> str:
    return hashlib.sha256(event_id.encode()).hexdigest()[:16]
