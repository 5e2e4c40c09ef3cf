"""Clocks of the embedded backend: the real one, and a virtual one that moves only when it is told to.

Virtual time must stand still while anything is being done. So each piece of work in progress says so with `working`,
and the pump moves the time on only when every piece of work is waiting (`VirtualClock.idle`):

- work waits while its task is in `sleep`, directly or in the coroutine it runs through `within`;
- work that entered `working` inside other work (a task of a gather, say) stands in for it: the outer one waits for it;
- a sleep in a task of its own that did not enter `working` (renewing a lease, say) is in the background and
  does not make its parent wait.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import count
from typing import Any, TypeVar

from workflow_runtime.backends.clock import RealClock

__all__ = ["RealClock", "VirtualClock"]

Result = TypeVar("Result")

MILLISECONDS = 1000
CANCELLED_ENTRIES_MAX = 64  # below that, sweeping the heap is not worth it


class _Work:
    """A piece of work in progress. Awake unless it sleeps or has children; a fired timeout wakes it in any case."""

    __slots__ = ("children", "fired", "sleepers", "tasks")

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self.tasks = {task}
        self.sleepers = 0
        self.children = 0
        self.fired = 0

    @property
    def awake(self) -> bool:
        return self.fired > 0 or not (self.sleepers or self.children)


class _Parked:
    """An entry of the clock's heap: ``future`` is resolved at its time. ``work``: whose time it is, if anybody's."""

    __slots__ = ("future", "is_timeout", "work")

    def __init__(self, future: asyncio.Future[None], work: _Work | None, is_timeout: bool) -> None:
        self.future = future
        self.work = work
        self.is_timeout = is_timeout


class VirtualClock:
    """`ports.Clock` for one event loop whose time moves only by `advance_to`. ``start``: epoch ms.

    ``on_rest`` is called whenever a piece of work begins to wait or ends: the clock may be `idle` now.
    """

    def __init__(self, start: int = 0) -> None:
        self._now = start
        self._heap: list[tuple[int, int, _Parked]] = []
        self._tickets = count()
        self._cancelled = 0  # entries of the heap that wait for nothing any more
        self._works: set[_Work] = set()
        self.on_rest: Callable[[], None] = _nothing
        self._current: ContextVar[_Work | None] = ContextVar("work", default=None)

    def now(self) -> int:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Returns when the clock was advanced by ``seconds`` (rounded up to a millisecond); 0 only yields."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        work = self._own_work()
        parked = self._park(seconds, work, is_timeout=False)
        if work is not None:
            work.sleepers += 1
            self.on_rest()
        try:
            await parked.future
        finally:
            if not _fired(parked):  # else `advance_to` has counted the work as awake already
                self._cancel(parked)
                if work is not None:
                    work.sleepers -= 1

    async def rest(self, seconds: float | None, stirred: asyncio.Event) -> None:
        """Returns when the event is set, or (not None) the clock was advanced by ``seconds``: until then, the work of
        this task waits. Without a time, it should have begun work that it waits for.
        """
        if seconds is None:
            await stirred.wait()
            return
        sleep = asyncio.create_task(self._on_behalf(self._own_work(), self.sleep(seconds)))
        stir = asyncio.create_task(stirred.wait())
        try:
            await asyncio.wait((sleep, stir), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stir):
                task.cancel()
            await asyncio.wait((sleep, stir))

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, Result]) -> Result:
        """Await ``work`` for at most ``seconds`` (None: without limit) of virtual time, then cancel it: `TimeoutError`.

        Cancelled work is awaited; if it returns or raises all the same, that is the result.
        """
        if seconds is None:
            return await work
        owner = self._own_work()
        parked = self._park(seconds, owner, is_timeout=True)
        task = asyncio.create_task(self._on_behalf(owner, work))
        try:
            await asyncio.wait((task, parked.future), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not _fired(parked):
                self._cancel(parked)
            elif owner is not None:
                owner.fired -= 1
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            raise TimeoutError(f"not done within {seconds} s")
        return task.result()

    async def _on_behalf(self, owner: _Work | None, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.current_task()
        if owner is not None:
            owner.tasks.add(task)
        try:
            return await work
        finally:
            if owner is not None:
                owner.tasks.discard(task)

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Have ``work`` done in the background after ``seconds``, unless it is cancelled before or meanwhile."""
        return asyncio.create_task(self._after(seconds, work))

    async def _after(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self.sleep(seconds)
        await work()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Marks work in progress in this task; marking it again inside the same task changes nothing."""
        if self._own_work() is not None:
            yield
            return
        parent = self._current.get()
        work = _Work(asyncio.current_task())
        self._works.add(work)
        if parent is not None:
            parent.children += 1
        token = self._current.set(work)
        try:
            yield
        finally:
            self._works.discard(work)
            if parent is not None:
                parent.children -= 1
            with suppress(ValueError):  # a coroutine that nobody ended is closed in another context
                self._current.reset(token)
            self.on_rest()

    @property
    def idle(self) -> bool:
        """Whether all work in progress waits for time to go by (also true when there is none)."""
        return not any(work.awake for work in self._works)

    def next_wakeup(self) -> int | None:
        """The time (epoch ms) of the next sleeper or timeout; None: there is none."""
        while self._heap and self._heap[0][2].future.done():
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def advance_to(self, time: int) -> None:
        """Move to ``time`` (epoch ms; a time in the past changes nothing) and wake who slept until then, in time order.

        Sleepers resume when the event loop runs next; to let each see its own time, advance by `next_wakeup`.
        """
        self._now = max(self._now, time)
        while (wakeup := self.next_wakeup()) is not None and wakeup <= self._now:
            parked = heapq.heappop(self._heap)[2]
            parked.future.set_result(None)
            if parked.work is None:
                continue
            if parked.is_timeout:
                parked.work.fired += 1
            else:
                parked.work.sleepers -= 1

    def _own_work(self) -> _Work | None:
        """The work of the running task; None outside of work and in background tasks."""
        work = self._current.get()
        return work if work is not None and asyncio.current_task() in work.tasks else None

    def _park(self, seconds: float, work: _Work | None, *, is_timeout: bool) -> _Parked:
        parked = _Parked(asyncio.get_running_loop().create_future(), work, is_timeout)
        wakeup = self._now + math.ceil(seconds * MILLISECONDS)
        heapq.heappush(self._heap, (wakeup, next(self._tickets), parked))
        return parked

    def _cancel(self, parked: _Parked) -> None:
        """Most timeouts never fire: sweep them out when they are most of the heap."""
        parked.future.cancel()
        self._cancelled += 1
        if self._cancelled > CANCELLED_ENTRIES_MAX and self._cancelled > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if not entry[2].future.done()]
            heapq.heapify(self._heap)
            self._cancelled = 0


def _nothing() -> None:
    """Nobody waits for the clock to be idle."""


def _fired(parked: _Parked) -> bool:
    return parked.future.done() and not parked.future.cancelled()
