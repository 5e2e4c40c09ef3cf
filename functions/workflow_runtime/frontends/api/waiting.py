"""Long polls: looking again and again, seldom enough to be cheap, soon enough to be quick."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

WAIT_SECONDS_MAX = 25  # API Gateway gives up after 30
PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 1.0
PAUSE_GROWTH = 1.5


async def wait_until(
    runtime: Runtime, seconds: float, look: Callable[[], Awaitable[bool]], pause_max: float = PAUSE_SECONDS_MAX
) -> bool:
    """Whether ``look`` said yes within ``seconds``, or before the process ends; it is asked at once, and a last time at
    the end.
    """
    clock = runtime.ports.clock
    end = clock.now() + seconds * 1000
    pause = PAUSE_SECONDS_MIN
    while not await look():
        left = (end - clock.now()) / 1000
        if left <= 0 or runtime.is_ending():
            return False
        await clock.sleep(min(pause, left))
        pause = min(pause * PAUSE_GROWTH, pause_max)
    return True
