"""Where an agent tells what it is writing, as its invoker sees it."""

from __future__ import annotations

from typing import Protocol

from workflow_runtime.storage.live import Part


class Live(Protocol):
    """Raises nothing: what is told is for people."""

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know."""

    def next_message(self) -> int:
        """The number of the run's next message, from 1."""

    async def tell(self, part: Part) -> None:
        """Tell it soon, with what else there is."""


class Unwatched:
    """Nobody wants to know."""

    is_watched = False

    def next_message(self) -> int:
        return 0

    async def tell(self, part: Part) -> None: ...


UNWATCHED = Unwatched()
