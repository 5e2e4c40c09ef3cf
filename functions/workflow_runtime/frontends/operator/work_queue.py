"""Which objects are to be looked at. Several workers, but one at a time for an object, and what failed again later."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx

from workflow_runtime.frontends.operator.resources import Key

RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 60.0

logger = logging.getLogger(__name__)


class Later(Exception):
    """Raised by the work: what it acted on has changed meanwhile, or is not there yet; look again soon."""


class WorkQueue:
    """``work`` looks at one object: in how many seconds it is to be looked at again, or None."""

    def __init__(self, work: Callable[[Key], Awaitable[float | None]], workers: int) -> None:
        self._work = work
        self._workers = workers
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: Counter[Key] = Counter()

    def mark(self, key: Key, after: float = 0.0) -> None:
        """Have an object looked at, in so many seconds at the latest."""
        timer = self._timers.get(key)
        loop = asyncio.get_running_loop()
        if timer is not None and timer.when() <= loop.time() + after:
            return
        if timer is not None:
            timer.cancel()
            del self._timers[key]
        if after > 0:
            self._timers[key] = loop.call_later(after, self._due, key)
        else:
            self._due(key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._worker())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                after = await self._looked_at(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.mark(key)
            elif after is not None:
                self.mark(key, after)

    async def _looked_at(self, key: Key) -> float | None:
        """One failure stops nothing: it is logged, and tried again, after growing pauses."""
        try:
            after = await self._work(key)
        except Exception as error:
            self._failures[key] += 1
            pause = min(RETRY_SECONDS_MIN * 2.0 ** min(self._failures[key] - 1, 16), RETRY_SECONDS_MAX)
            level = logging.INFO if isinstance(error, Later) else logging.ERROR
            fault = None if isinstance(error, (Later, httpx.HTTPError)) else error  # of ours: its place is logged
            logger.log(level, "%s %s: %s; again in %g s", key.kind, key.name, error, pause, exc_info=fault)
            return pause
        self._failures.pop(key, None)
        return after
