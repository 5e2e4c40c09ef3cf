"""Where the steps of an agent are recorded, as its invoker sees it."""

from __future__ import annotations

from typing import Protocol

from workflow_runtime.storage.steps import Step


class Steps(Protocol):
    """Where the steps of a visit are recorded. Raises `NodeError` when that is impossible."""

    async def of_visit(self) -> list[Step]:
        """What is recorded of it."""

    async def record(self, step: Step) -> Step:
        """Record a step that is done. Returns what counts: this, or what another run recorded before."""

    async def begin(self, step: Step) -> Step:
        """Record that a step begins which must not be repeated unasked. Returns what counts."""

    async def outcome(self, step: Step) -> Step:
        """What became of a step that another run has begun: it is given as long to end as its lease lasts."""


class NotRecorded:
    """Steps of an agent that runs outside any execution."""

    async def of_visit(self) -> list[Step]:
        return []

    async def record(self, step: Step) -> Step:
        return step

    async def begin(self, step: Step) -> Step:
        return step

    async def outcome(self, step: Step) -> Step:
        return step


NOT_RECORDED = NotRecorded()
