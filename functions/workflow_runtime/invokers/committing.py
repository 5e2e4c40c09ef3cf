"""What a call brings about when it is recorded, and not before."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from workflow_runtime.ports import Effect

Output = TypeVar("Output")


class ToCommit(msgspec.Struct, frozen=True):
    """Of a call; ``effect`` None: none. ``holds_secrets``: it may be stored nowhere."""

    effect: Effect | None = None
    holds_secrets: bool = False

    def __bool__(self) -> bool:
        return self.effect is not None


NOTHING_TO_COMMIT = ToCommit()


class Committed(msgspec.Struct, Generic[Output], frozen=True):
    """What a built-in tool returns that does nothing itself: its output, and the effect that is committed with the
    record of the call."""

    output: Output
    effect: Effect
