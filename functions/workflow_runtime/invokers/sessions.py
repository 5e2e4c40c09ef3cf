"""The session of an agent's visit, as its invoker sees it."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.sessions import Turn

OnBusy = Literal["queue", "reject", "interrupt"]
SESSION_BUSY = "session_busy"


class Busy(Exception):
    """Somebody else works on the session; what to ``wait`` for."""

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self.wait = wait


class Said(msgspec.Struct, frozen=True):
    """What was said in a visit. ``messages``: as they are stored; ``start``: the first turn that is told after it, if
    it is another one now, and a ``summary`` of those before that."""

    messages: Json
    start: int = 0
    summary: str = ""


class Asked(msgspec.Struct, frozen=True):
    """Which session a visit is to hold.

    - ``agent``: whose it is; ``id``: what it calls it; ``on_busy``: what to do where others work on it
    - ``ttl_seconds``: how long each turn is remembered
    - ``wait_id``: the name that a wait for it would have, after so many ``waits``
    - ``begun``: the visit has held it before
    """

    agent: str
    id: str
    on_busy: OnBusy
    ttl_seconds: int
    wait_id: str
    waits: int = 0
    begun: bool = False


class Sessions(Protocol):
    """Of one visit. Raises `NodeError`: ``session_busy``, and of transport when the table cannot be reached."""

    async def take(self, asked: Asked) -> list[Turn]:
        """Hold the session until the visit has ended; the turns that are to be told, the first first. Raises `Busy`."""

    async def check(self) -> None:
        """Raises `NodeError` if somebody else has taken it since."""
