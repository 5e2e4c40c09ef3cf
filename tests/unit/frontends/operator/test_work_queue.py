"""The queue of objects: one look at a time for each, none forgotten, and failures tried again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from workflow_runtime.frontends.operator.resources import Key, Kind
from workflow_runtime.frontends.operator.work_queue import Later, WorkQueue

KEY = Key(Kind.WORKFLOW, "a")


def run(work: Callable[[Key], Awaitable[float | None]], use: Callable[[WorkQueue], Awaitable[None]]) -> None:
    async def whole() -> None:
        queue = WorkQueue(work, workers=3)
        running = asyncio.ensure_future(queue.run())
        async with asyncio.timeout(30):
            await use(queue)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())


def test_an_object_that_is_marked_while_it_is_looked_at_is_looked_at_once_more() -> None:
    looks: list[str] = []
    release = asyncio.Event()
    again = asyncio.Event()

    async def work(key: Key) -> None:
        looks.append(f"begin {key.name}")
        await release.wait()
        looks.append(f"end {key.name}")
        if len(looks) == 4:
            again.set()

    async def use(queue: WorkQueue) -> None:
        queue.mark(KEY)
        while not looks:
            await asyncio.sleep(0)
        for _ in range(5):
            queue.mark(KEY)
        release.set()
        await again.wait()

    run(work, use)
    assert looks == ["begin a", "end a"] * 2


def test_objects_are_looked_at_side_by_side() -> None:
    inside: Counter[str] = Counter()
    met = asyncio.Event()

    async def work(key: Key) -> None:
        inside[key.name] += 1
        if len(inside) == 3:
            met.set()
        await met.wait()

    async def use(queue: WorkQueue) -> None:
        for name in "abc":
            queue.mark(Key(Kind.WORKFLOW, name))
        await met.wait()

    run(work, use)
    assert inside == {"a": 1, "b": 1, "c": 1}


def test_what_fails_is_looked_at_again_and_holds_up_no_other() -> None:
    looks: Counter[str] = Counter()
    done = asyncio.Event()

    async def work(key: Key) -> None:
        looks[key.name] += 1
        if key.name == "a" and looks["a"] == 1:
            raise Later("not yet")
        if looks == {"a": 2, "b": 1}:
            done.set()

    async def use(queue: WorkQueue) -> None:
        queue.mark(KEY)
        queue.mark(Key(Kind.WORKFLOW, "b"))
        await done.wait()

    run(work, use)
    assert looks == {"a": 2, "b": 1}


def test_an_earlier_time_replaces_a_later_one() -> None:
    looked = asyncio.Event()

    async def work(key: Key) -> None:  # noqa: ARG001
        looked.set()

    async def use(queue: WorkQueue) -> None:
        queue.mark(KEY, after=3600)
        queue.mark(KEY, after=7200)
        queue.mark(KEY)
        await looked.wait()

    run(work, use)
    assert looked.is_set()
