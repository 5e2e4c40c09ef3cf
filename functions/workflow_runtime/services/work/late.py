"""In the worker: results that come when their runs have ended for everybody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.containment import Outcome
from workflow_runtime.invokers.invocation import NodeResult
from workflow_runtime.ports import Ports
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.masked import aside, error_of
from workflow_runtime.services.work.under_way import Attempt
from workflow_runtime.storage.records import LateResult, Run, RunStatus
from workflow_runtime.storage.runs import RunStore


class LateResults:
    """Keeps them for people: their effects may have happened."""

    def __init__(self, ports: Ports, runs: RunStore) -> None:
        self._ports = ports
        self._runs = runs
        self._notes: set[asyncio.Future[None]] = set()  # being written; a loop keeps no task alive

    def listen(self, attempt: Attempt, ended: Run) -> None:
        """Keep what the code of an attempt comes to that is over, and was recorded as ``ended``, should it go on."""
        attempt.late.listen(partial(self._came, attempt, ended))

    async def note(self, order: Order, ended: Run) -> None:
        """Keep what a run came to that had ended for everybody else."""
        if ended.status is RunStatus.CANCELLED:
            return
        late = LateResult.of(ended)
        with suppress(RetryableError):  # nothing is decided by it
            await self._ports.offload(self._runs.note_late, order.execution_id, ended.path, ended.serial, late)

    def _came(self, attempt: Attempt, ended: Run, outcome: Outcome[NodeResult]) -> None:
        run = replace(ended, status=RunStatus.SUCCESS, error=None, ended_at=self._ports.clock.now())
        note = asyncio.ensure_future(self._note_outcome(attempt, run, outcome))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def _note_outcome(self, attempt: Attempt, run: Run, outcome: Outcome[NodeResult]) -> None:
        if isinstance(outcome.error, Exception):
            run = replace(run, status=RunStatus.FAILED, error=error_of(attempt, outcome.error))
        elif outcome.error is None:
            run = replace(run, output=await aside(attempt.mask, attempt.mask.value, outcome.value.output))
        await self.note(attempt.order, run)
