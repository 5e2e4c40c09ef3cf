"""Where the steps of an agent are recorded, as its invoker sees it."""

from __future__ import annotations

from typing import Protocol

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.storage.steps import Step

NO_RECORD = "its effect is committed with the record of its call, and here nothing is recorded"


class OffRecord(NodeError):
    """In a replay: something is asked that is not recorded, and nothing may be asked that is not. No model is told."""

    def __init__(self, message: str) -> None:
        super().__init__("replay_diverged", message)


class EndsAsRecorded(OffRecord):
    """In a replay: the attempt goes no further than the recorded one, and ends as that did."""

    def __init__(self) -> None:
        super().__init__("the recorded attempt ended here")


class Steps(Protocol):
    """Where the steps of a visit are recorded. Raises `NodeError` when that is impossible.

    ``is_new``: nothing can be recorded of the visit yet, so that nothing need be read.
    """

    @property
    def is_new(self) -> bool: ...

    def diverges(self) -> bool:
        """The agent asks for something else than is recorded: whether it goes on without the record. Else that is an
        error."""

    async def of_visit(self) -> list[Step]:
        """What is recorded of it."""

    async def record(self, step: Step, to_commit: ToCommit = NOTHING_TO_COMMIT) -> Step:
        """Record a step that is done, and in one transaction with that commit its effects. Returns what counts: this,
        or what another run recorded before, and then nothing was committed. Raises `EffectRefused`."""

    async def begin(self, step: Step) -> Step:
        """Record that a step begins which must not be repeated unasked. Returns what counts."""

    async def outcome(self, step: Step) -> Step:
        """What became of a step that another run has begun: it is given as long to end as its lease lasts."""


class NotRecorded:
    """Steps of an agent that runs outside any execution."""

    is_new = True

    def diverges(self) -> bool:
        return False

    async def of_visit(self) -> list[Step]:
        return []

    async def record(self, step: Step, to_commit: ToCommit = NOTHING_TO_COMMIT) -> Step:
        if to_commit:
            raise NodeError("not_allowed", NO_RECORD)
        return step

    async def begin(self, step: Step) -> Step:
        return step

    async def outcome(self, step: Step) -> Step:
        return step


NOT_RECORDED = NotRecorded()
