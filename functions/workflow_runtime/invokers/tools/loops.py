"""Event loops for authors' coroutines, apart from the runtime's own: code that blocks where it should await holds up
other authors' code, never the runtime, its leases or its timeouts.

One loop serves the whole process, so that a client which a module keeps works from call to call, as in any asyncio
program. A loop that has not moved for `BLOCKED_SECONDS` is replaced: calls from then on run in a new one, and a warning
names who blocks it. The old one ends when its calls have.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from workflow_runtime.invokers.containment import STOP_SECONDS, Outcome, given, tamed

Result = TypeVar("Result")

BLOCKED_SECONDS = 2.0  # without moving; long enough for an import or a slow parse, which are not mistakes
BEATS = 8  # within that time: how often a loop with calls shows that it moves
LOOKS = 4  # within that time: how often those who wait for a call look

logger = logging.getLogger(__name__)


class Call:
    """A coroutine in another loop. ``ended``: a future of the caller's loop; ``is_over``: the same, for any thread."""

    def __init__(self, work: Coroutine[Any, Any, Any], name: str, loop: AuthorLoop) -> None:
        self._here = asyncio.get_running_loop()
        self._work = work
        self._wanted = True
        self._has_begun = False
        self.name = name
        self.loop = loop
        self.task: asyncio.Task[Outcome[Any]] | None = None
        self.ended: asyncio.Future[Outcome[Any]] = self._here.create_future()
        self.is_over = False

    def begin(self) -> None:
        """In its own loop."""
        self.task = asyncio.get_running_loop().create_task(self._given(), name=self.name)
        self.task.add_done_callback(self._done)

    async def _given(self) -> Outcome[Any]:
        """What the work gave, unless nobody wants it any more: between being made and its first step, a task may stand
        for long behind one that blocks."""
        if not self._wanted:
            self._work.close()
            return Outcome(error=asyncio.CancelledError())
        self._has_begun = True
        return await given(self._work)

    def cancel(self) -> None:
        """In the caller's loop: nobody wants the result any more."""
        self._wanted = False
        self.loop.soon(self._cancel)

    def _cancel(self) -> None:
        if self.task is not None and self._has_begun:
            self.task.cancel()

    def _done(self, task: asyncio.Task[Outcome[Any]]) -> None:
        self._give(Outcome(error=asyncio.CancelledError()) if task.cancelled() else task.result())

    def _give(self, outcome: Outcome[Any]) -> None:
        self.is_over = True
        self.loop.over(self)
        with contextlib.suppress(RuntimeError):  # the caller's loop has closed: nobody waits any more
            self._here.call_soon_threadsafe(self._settle, outcome)

    def _settle(self, outcome: Outcome[Any]) -> None:
        if not self.ended.done():
            self.ended.set_result(outcome)


class AuthorLoop:
    """An event loop in a daemon thread of its own. It goes on, no matter what a task or a callback raises."""

    def __init__(self, blocked_seconds: float) -> None:
        self.blocked_seconds = blocked_seconds
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_tamed_task)
        self._lock = threading.Lock()
        self._calls: set[Call] = set()
        self._beats = False
        self._beat_at = 0.0
        self._retired = False
        self._told = False
        threading.Thread(target=self._serve, name="async tools", daemon=True).start()

    def begin(self, work: Coroutine[Any, Any, Any], name: str) -> Call:
        """Run a coroutine here, in the caller's context."""
        call = Call(work, name, self)
        with self._lock:
            if not self._calls:
                self._beat_at = time.monotonic()
            self._calls.add(call)
        self.soon(self._begin, call)
        return call

    def soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function in this loop; a loop that has ended has nothing left to do."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def over(self, call: Call) -> None:
        """In this loop: a call has ended."""
        with self._lock:
            self._calls.discard(call)
            is_last = self._retired and not self._calls
        if is_last:
            self._loop.stop()

    def retire(self) -> None:
        """No more calls are to come."""
        with self._lock:
            self._retired = True
        self.soon(self._loop.stop)  # `_serve` goes on if there are calls

    @property
    def is_blocked(self) -> bool:
        """Whether it has calls and has not moved for a while."""
        with self._lock:
            return bool(self._calls) and time.monotonic() - self._beat_at > self.blocked_seconds

    def warn(self, waiting: Call) -> None:
        """Say once who blocks it: on behalf of that call, whose identifiers the log line has, or if it cannot be told
        (a task that a call started, a callback), of any.
        """
        running = asyncio.current_task(self._loop)
        with self._lock:
            names = sorted({call.name for call in self._calls})
            blocking = next((call for call in self._calls if call.task is running and running is not None), None)
            if self._told or (blocking is not None and blocking is not waiting):
                return
            self._told = True
        logger.warning(
            "%s blocks its event loop: it has not awaited anything for %g s, and async tools that began before wait "
            "for it. Make it a plain function, which runs in a thread, or use asyncio.to_thread for what blocks",
            blocking.name if blocking is not None else " or ".join(names),
            self.blocked_seconds,
        )

    def _begin(self, call: Call) -> None:
        if not self._beats:
            self._beat()
        call.begin()

    def _beat(self) -> None:
        with self._lock:
            self._beat_at = time.monotonic()
            self._beats = bool(self._calls)
        if self._beats:
            self._loop.call_later(self.blocked_seconds / BEATS, self._beat)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while True:
            with contextlib.suppress(BaseException):  # a callback's SystemExit, say; authors may call `stop`, too
                self._loop.run_forever()
            with self._lock:
                if self._retired and not self._calls:
                    break
        self._loop.close()


class CurrentLoop:
    """The loop that takes new calls."""

    def __init__(self, blocked_seconds: float = BLOCKED_SECONDS) -> None:
        self._blocked_seconds = blocked_seconds
        self._lock = threading.Lock()
        self._loop: AuthorLoop | None = None

    def begin(self, work: Coroutine[Any, Any, Any], name: str) -> Call:
        with self._lock:
            self._loop = self._loop or AuthorLoop(self._blocked_seconds)
            return self._loop.begin(work, name)

    def replace(self, blocked: AuthorLoop) -> None:
        with self._lock:
            if self._loop is not blocked:
                return
            self._loop = None
        blocked.retire()


_OF_PROCESS = CurrentLoop()


class AuthorLoops:
    """Runs authors' coroutines. ``abandoned``: how many still run although their caller was cancelled."""

    def __init__(self, stop_seconds: float = STOP_SECONDS, current: CurrentLoop = _OF_PROCESS) -> None:
        self._stop_seconds = stop_seconds
        self._current = current
        self._abandoned: set[Call] = set()

    @property
    def abandoned(self) -> int:
        self._abandoned = {call for call in self._abandoned if not call.is_over}
        return len(self._abandoned)

    async def run(
        self, work: Coroutine[Any, Any, Result], name: str, late: Callable[[Outcome[Result]], None] | None = None
    ) -> Outcome[Result]:
        """What ``work`` gave; ``name`` stands in warnings. Raises `asyncio.CancelledError` only when the caller is
        cancelled; then ``work`` is cancelled too, and waited for, but not forever, and not if it blocks. What it gives
        all the same is ``late``.
        """
        call = self._current.begin(work, name)
        try:
            while not await self._has_ended(call):
                pass
        except asyncio.CancelledError:
            if late is not None:
                call.ended.add_done_callback(lambda ended: late(ended.result()))
            await self._stop(call)
            raise
        return call.ended.result()

    async def _stop(self, call: Call) -> None:
        call.cancel()
        end = time.monotonic() + self._stop_seconds
        try:
            while not call.loop.is_blocked and (left := end - time.monotonic()) > 0:
                if await self._has_ended(call, left):
                    return
        finally:
            if not call.is_over:
                self._abandoned.add(call)

    async def _has_ended(self, call: Call, seconds: float = math.inf) -> bool:
        """Whether the call ends before the next look, or within ``seconds``; a blocked loop is seen to."""
        await asyncio.wait((call.ended,), timeout=min(call.loop.blocked_seconds / LOOKS, seconds))
        if not call.ended.done() and call.loop.is_blocked:
            self._current.replace(call.loop)
            call.loop.warn(call)
        return call.ended.done()


def _tamed_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """No task of authors can end the loop."""
    return asyncio.Task(tamed(work), loop=loop, **options)
