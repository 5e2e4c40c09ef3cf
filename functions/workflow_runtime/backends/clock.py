"""The clock of everything that runs in real time: AWS, the simulated AWS and `awr dev`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from workflow_runtime.ports import Cancellable
from workflow_runtime.ports.calls import Begun

Result = TypeVar("Result")

_NANOSECONDS_PER_MILLISECOND = 1_000_000
_NOTHING = nullcontext()


class _Later:
    """Begun by a timer of the event loop, which costs less than a task that sleeps."""

    __slots__ = ("_begun", "_work")

    def __init__(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._begun: asyncio.TimerHandle | asyncio.Task[None]
        self._begun = asyncio.get_running_loop().call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._begun = asyncio.ensure_future(self._work())

    def cancel(self) -> None:
        self._begun.cancel()


class RealClock:
    """The system's clock as `ports.Clock`."""

    def now(self) -> int:
        return time.time_ns() // _NANOSECONDS_PER_MILLISECOND

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, Result]) -> Result:
        """Await ``work`` for at most ``seconds`` (None: without limit), then cancel it and raise `TimeoutError`."""
        begun = Begun(work)
        if not begun.waits:
            return begun.result
        async with asyncio.timeout(seconds):
            return await begun.rest()

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> Cancellable:
        """Have ``work`` done in the background after ``seconds``, unless it is cancelled before or meanwhile."""
        return _Later(seconds, work)

    def working(self) -> AbstractContextManager[None]:
        """Real time passes during work: nothing to account for."""
        return _NOTHING
