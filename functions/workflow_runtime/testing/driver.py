"""Runs a `LocalRuntime` in steps: until an execution ends, until nothing moves by itself, or until a time.

The pump is one task of one event loop that only runs while a test lets it; between steps everything stands still,
work in progress included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.runtime.in_process import LocalRuntime

STEP_SECONDS_MAX = 60.0  # of real time, for one step of a test
RUN_MILLISECONDS_MAX = 366 * 24 * 3600 * 1000  # of virtual time: what has not ended in a year waits for the outside

Result = TypeVar("Result")


class HeldClock(VirtualClock):
    """A virtual clock that does not pass ``limit`` (epoch ms), and says so."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.limit: int | None = start
        self.on_limit: Callable[[], None] = lambda: None

    def advance_to(self, time: int) -> None:
        if self.limit is not None and time > self.limit:
            time = self.limit
            self.on_limit()
        super().advance_to(time)


class Driver:
    """Steps of ``runtime``; with a `HeldClock`, time moves only within them."""

    def __init__(self, runtime: LocalRuntime) -> None:
        self._runtime = runtime
        clock = runtime.backend.ports.clock
        self._clock = clock if isinstance(clock, HeldClock) else None
        self._runner = asyncio.Runner()
        self._rest = asyncio.Event()
        self._stirred = asyncio.Event()
        self._closing = False
        self._settling = False
        self._ended: Callable[[], bool] | None = None
        self._task: asyncio.Task[None] | None = None
        runtime.backend.on_send = self._sent
        if self._clock is not None:
            self._clock.on_limit = self._rest.set

    def until(self, ended: Callable[[], bool]) -> None:
        """Run until ``ended``, or until only the outside could change anything; time passes as it must."""
        limit = self._clock.now() + RUN_MILLISECONDS_MAX if self._clock is not None else None
        self._step(ended, limit)

    def settle(self) -> None:
        """Run what can run now, without letting time pass; in real time, no timer is waited for."""
        if self._clock is None:
            self.settle_work()
        else:
            self._step(None, self._clock.now())

    def settle_work(self) -> None:
        """Run what needs no timer and nothing from outside: time passes only as work in progress needs it."""
        limit = self._clock.now() + RUN_MILLISECONDS_MAX if self._clock is not None else None
        self._runtime.pump.settling = self._settling = True
        try:
            self._step(None, limit)
        finally:
            self._runtime.pump.settling = self._settling = False

    def advance(self, milliseconds: int) -> None:
        """Let virtual time pass; what becomes due in it happens in order. Raises `RuntimeError` for a real clock."""
        if self._clock is None:
            raise RuntimeError("this runtime lives in real time, which cannot be advanced: use the fixture `runtime`")
        end = self._clock.now() + milliseconds
        scheduler = self._runtime.backend.scheduler
        while (at := scheduler.next_at(ticks=False)) is not None and at < end:  # those that repeat move no time
            self._go_to(self._clock, max(at, self._clock.now()))
        self._go_to(self._clock, end)

    def _go_to(self, clock: HeldClock, time: int) -> None:
        self._step(None, time)
        clock.limit = time
        clock.advance_to(time)
        self._step(None, time)

    def close(self) -> None:
        if self._task is not None:
            self._closing = True
            self._run(self._finish(self._task))
        self._runner.close()

    def _step(self, ended: Callable[[], bool] | None, limit: int | None) -> None:
        self._run(self._drive(ended, limit))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self._runner.run(work)
        except RuntimeError as error:
            work.close()
            if "running event loop" not in str(error):
                raise
            raise RuntimeError(
                "the test kit is for ordinary tests; in an async test use WorkflowEngine.local()"
            ) from None

    async def _drive(self, ended: Callable[[], bool] | None, limit: int | None) -> None:
        if self._clock is not None:
            self._clock.limit = limit
        self._ended = ended
        self._rest.clear()
        self._stirred.set()
        if self._task is None:
            self._task = asyncio.create_task(self._pump())
        resting = asyncio.create_task(self._rest.wait())
        done, _ = await asyncio.wait(
            {resting, self._task}, timeout=STEP_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        resting.cancel()
        if self._task in done:
            self._task.result()
        if not done:
            raise AssertionError(
                f"the runtime has not come to rest within {STEP_SECONDS_MAX:g} s: something hangs, or a chart goes on "
                "forever by its own timers and events"
            )
        if self._clock is not None:
            self._clock.limit = self._clock.now()

    async def _pump(self) -> None:
        while True:
            self._stirred.clear()
            await self._runtime.pump.run(self._look, settle=self._settling)
            if self._closing:
                return
            self._rest.set()
            await self._stirred.wait()

    def _look(self) -> bool:
        """Asked by the pump whenever it has nothing to receive: time stops in the moment in which the step is done."""
        if self._ended is not None and self._ended():
            if self._clock is not None:
                self._clock.limit = self._clock.now()
            self._rest.set()
        return self._closing

    async def _finish(self, task: asyncio.Task[None]) -> None:
        self._sent("")
        await asyncio.wait({task})

    def _sent(self, queue: str) -> None:
        self._runtime.pump.notice(queue)
        self._stirred.set()
