"""The session of an agent's visit in a replay: what it was told when it was recorded."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_runtime.invokers.cassettes.file import TurnOnTape
from workflow_runtime.invokers.sessions import Asked
from workflow_runtime.storage.payloads import pack
from workflow_runtime.storage.sessions import Turn, User


class TapedSession:
    """Nobody else works on it, and nothing is remembered in it."""

    def __init__(self, turns: Sequence[TurnOnTape]) -> None:
        self._turns = turns

    async def take(self, asked: Asked) -> list[Turn]:  # noqa: ARG002  whatever it is called
        return [Turn(turn.number, User("", "", 0), 0, 1, 0, pack(turn.messages), turn.summary) for turn in self._turns]

    async def check(self) -> None:
        """It is never taken by others."""
