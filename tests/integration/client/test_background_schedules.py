"""A runtime in the background runs the ticks and schedules of its backend, also when nothing else happens."""

from __future__ import annotations

import asyncio
from typing import Any

from workflow_runtime.backends.clock import RealClock
from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import SWEEP
from workflow_runtime.ports import Schedule
from workflow_runtime.runtime.background import BackgroundRuntime
from workflow_runtime.services.upkeep.sweep import Swept

ALMOST_A_MINUTE_MS = 59_950


class AheadClock(RealClock):
    ahead_ms = 0

    def now(self) -> int:
        return super().now() + self.ahead_ms


def test_a_tick_wakes_a_runtime_that_has_nothing_to_do() -> None:
    async def run() -> None:
        clock = AheadClock()
        runtime = BackgroundRuntime(open_backend(None, clock))
        swept = asyncio.Event()
        sweep: Any = runtime.services.sweep
        sweep.sweep = lambda: swept.set() or Swept()
        clock.ahead_ms = ALMOST_A_MINUTE_MS
        runtime.start()
        await asyncio.wait_for(swept.wait(), 30)
        await runtime.close()

    asyncio.run(run())


def test_a_schedule_far_ahead_does_not_hold_up_the_end() -> None:
    async def run() -> None:
        backend = open_backend(None)
        runtime = BackgroundRuntime(backend)
        backend.ports.schedules.put(Schedule("far", SWEEP, "{}", at=backend.ports.clock.now() + 10**9))
        runtime.start()
        await asyncio.sleep(0)
        await asyncio.wait_for(runtime.close(drain_seconds=3600), 30)

    asyncio.run(run())
