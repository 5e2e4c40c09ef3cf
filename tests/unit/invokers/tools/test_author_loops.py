"""Authors' coroutines run in an event loop of their own: whatever they do there, the runtime's own loop goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from workflow_runtime.invokers.containment import described
from workflow_runtime.invokers.tools.loops import AuthorLoops, CurrentLoop

DEADLINE_SECONDS = 100
BLOCKED_SECONDS = 0.05
LOGGER = "workflow_runtime.invokers.tools.loops"


@pytest.fixture
def loops() -> AuthorLoops:
    """Loops of their own, whose calls have long to end once they are cancelled."""
    return AuthorLoops(DEADLINE_SECONDS, CurrentLoop())


@pytest.fixture
def strict() -> AuthorLoops:
    """Loops that count as blocked very soon."""
    return AuthorLoops(DEADLINE_SECONDS, CurrentLoop(BLOCKED_SECONDS))


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What blocked code waits for; it is let go in any case."""
    event = threading.Event()
    yield event
    event.set()


async def thread_name() -> str:
    return threading.current_thread().name


async def blocks(release: threading.Event) -> str:
    release.wait(DEADLINE_SECONDS)
    return "late"


def test_all_of_a_process_share_one_loop(loops: AuthorLoops) -> None:
    """A client that a module keeps belongs to the loop that it was first used in."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def scenario() -> None:
        here, *there = asyncio.get_running_loop(), *[(await loops.run(loop(), "t")).result() for _ in range(3)]
        assert len(set(there)) == 1
        assert here not in there

    asyncio.run(scenario())


def test_the_callers_context_is_seen(loops: AuthorLoops) -> None:
    execution: ContextVar[str] = ContextVar("execution")
    execution.set("ex-1")

    async def look() -> str:
        return execution.get()

    assert asyncio.run(loops.run(look(), "t")).result() == "ex-1"


def test_code_that_blocks_does_not_hold_up_its_caller_and_is_named(
    strict: AuthorLoops, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        blocked = asyncio.create_task(strict.run(blocks(release), "tool 'slow'"))
        while not caplog.records:
            await asyncio.sleep(0.001)  # our own loop moves
        assert (await strict.run(thread_name(), "tool 'next'")).result() == "async tools", "calls go to a new loop"
        release.set()
        assert (await blocked).result() == "late"

    caplog.set_level(logging.WARNING, LOGGER)
    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    said = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert said[0] == "tool 'slow' blocks its event loop"
    assert said.count(said[0]) == 1, "the machine may hold up the next call so long that it seems to block as well"


def test_a_timeout_holds_for_code_that_blocks(strict: AuthorLoops, release: threading.Event) -> None:
    begun = threading.Event()

    async def slow() -> None:
        begun.set()
        await blocks(release)

    async def scenario() -> None:
        work = asyncio.create_task(strict.run(slow(), "tool 'slow'"))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await work
        assert strict.abandoned == 1
        release.set()
        while strict.abandoned:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_work_that_had_not_begun_when_it_was_cancelled_never_runs(
    strict: AuthorLoops, release: threading.Event
) -> None:
    ran: list[str] = []

    async def effect() -> None:
        ran.append("effect")

    async def scenario() -> None:
        blocked = asyncio.create_task(strict.run(blocks(release), "tool 'slow'"))
        queued = asyncio.create_task(strict.run(effect(), "tool 'queued'"))
        await asyncio.sleep(0)  # both begin in one go: the loop does not count as blocked in between
        queued.cancel()
        with pytest.raises(asyncio.CancelledError):
            await queued
        release.set()
        await blocked
        while strict.abandoned:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    assert ran == []


def test_who_cancels_the_caller_cancels_the_work(loops: AuthorLoops) -> None:
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def scenario() -> None:
        task = asyncio.create_task(loops.run(work(), "t"))
        await asyncio.to_thread(began.wait, DEADLINE_SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
        assert loops.abandoned == 0

    asyncio.run(scenario())


def _exit(*_: Any) -> None:
    raise SystemExit(3)


def _in_a_callback() -> None:
    asyncio.get_running_loop().call_soon(_exit)


def _by_stopping() -> None:
    asyncio.get_running_loop().stop()


def _in_a_task() -> None:
    async def exits() -> None:
        _exit()

    asyncio.ensure_future(exits()).add_done_callback(lambda task: task.exception())


@pytest.mark.parametrize("end", [_in_a_callback, _by_stopping, _in_a_task])
def test_nothing_ends_the_loop(loops: AuthorLoops, end: Callable[[], None]) -> None:
    async def work() -> int:
        end()
        for _ in range(5):
            await asyncio.sleep(0)
        return 1

    async def scenario() -> None:
        for _ in range(2):
            assert (await loops.run(work(), "t")).result() == 1

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError()])
def test_every_exception_is_given_back(loops: AuthorLoops, error: BaseException) -> None:
    async def raises() -> None:
        raise error

    found = asyncio.run(loops.run(raises(), "t")).error
    assert found is not None
    assert type(error).__name__ in described(found)


def test_a_caller_whose_loop_has_closed_is_not_told(release: threading.Event) -> None:
    loops = AuthorLoops(0, CurrentLoop())

    async def leaves() -> None:
        task = asyncio.create_task(loops.run(blocks(release), "t"))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leaves())
    release.set()
    assert asyncio.run(loops.run(thread_name(), "t")).result() == "async tools"
