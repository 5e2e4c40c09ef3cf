"""A runtime in the background runs the ticks and schedules of its backend, also when nothing else happens."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace
from tests.ahead_clock import AheadClock

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import SWEEP
from workflow_runtime.ports import Schedule
from workflow_runtime.runtime.in_process import LocalRuntime

ALMOST_A_MINUTE_MS = 59_950


class Watched:
    """A table that tells when it is searched for executions that are due, as a sweep does."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.swept = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def query_index(self, *arguments: Any, **options: Any) -> Any:
        self.swept.set()
        return self._table.query_index(*arguments, **options)


def test_a_tick_wakes_a_runtime_that_has_nothing_to_do() -> None:
    async def run() -> None:
        clock = AheadClock()
        backend = open_backend(None, clock)
        table = Watched(backend.ports.table)
        backend.ports = replace(backend.ports, table=table)
        runtime = LocalRuntime(backend)
        clock.ahead_ms = ALMOST_A_MINUTE_MS
        runtime.start()
        await asyncio.wait_for(table.swept.wait(), 120)
        await runtime.stop()

    asyncio.run(run())


def test_a_schedule_far_ahead_does_not_hold_up_the_end() -> None:
    async def run() -> None:
        backend = open_backend(None)
        runtime = LocalRuntime(backend)
        backend.ports.schedules.put(Schedule("far", SWEEP, "{}", at=backend.ports.clock.now() + 10**9))
        runtime.start()
        await asyncio.sleep(0)
        await asyncio.wait_for(runtime.stop(drain_seconds=3600), 120)

    asyncio.run(run())
