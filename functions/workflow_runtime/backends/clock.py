"""The clock of everything that runs in real time: AWS, the simulated AWS and `awr dev`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

Result = TypeVar("Result")

_NANOSECONDS_PER_MILLISECOND = 1_000_000
_NOTHING = nullcontext()


class RealClock:
    """The system's clock as `ports.Clock`."""

    def now(self) -> int:
        return time.time_ns() // _NANOSECONDS_PER_MILLISECOND

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, Result]) -> Result:
        """Await ``work`` for at most ``seconds`` (None: without limit), then cancel it and raise `TimeoutError`."""
        async with asyncio.timeout(seconds):
            return await work

    def working(self) -> AbstractContextManager[None]:
        """Real time passes during work: nothing to account for."""
        return _NOTHING
