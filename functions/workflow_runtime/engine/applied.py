"""Ids of events and requests from outside that were taken, so that repeats have no effect (promise P6).

Those of earlier turns are not in the state, which would grow with every event: the caller of `advance` says which of
the events at hand were taken (`Known.applied`), and keeps those that this turn takes (`Decision.applied`) for
`APPLIED_MS`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from workflow_runtime.engine.events import ControlEvent, Event, SignalReceived
from workflow_runtime.engine.tables import entered
from workflow_runtime.engine.turn import Turn

APPLIED_MS = 24 * 3600 * 1000
TAKEN = "this event was taken already"
REQUEST_TAKEN = "this request was taken already"


def is_known(turn: Turn, event_id: str) -> bool:
    id = identity(event_id)
    return id in turn.applied or id in turn.known.applied or id in turn.state.applied


def remember(turn: Turn, event_id: str) -> None:
    """The event is taken now. Ids that older deployments kept in the state are forgotten when their time has come."""
    turn.applied = entered(turn.applied, identity(event_id), None)
    old = turn.state.applied
    while old and old[oldest := next(iter(old))] <= turn.now - APPLIED_MS:
        del old[oldest]


def is_remembered(event: Event) -> bool:
    """Whether repeats of such an event are recognised by its id; those of others are by what they tell."""
    return isinstance(event, (SignalReceived, ControlEvent))


@lru_cache(maxsize=16)  # each is asked for twice: whether it is known, and to remember it
def identity(event_id: str) -> str:
    """The id as it is kept."""
    return hashlib.sha256(event_id.encode()).hexdigest()[:16]
