"""Authors' code may raise what it likes: its caller and the event loop go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.containment import Containment, Outcome, attempt, described, node_failure
from workflow_runtime.sdk import ToolError


async def gives(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def raises(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def awaits_a_cancelled_task() -> None:
    task = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(5)


async def exits_in(wait: Callable[[Coroutine[Any, Any, None]], Awaitable[Any]]) -> None:
    await wait(raises(SystemExit(3)))


async def exits_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raises(SystemExit(3)))
        group.create_task(asyncio.sleep(5))


async def exits_in_a_task_that_nobody_awaits() -> None:
    asyncio.create_task(raises(SystemExit(3))).add_done_callback(lambda task: task.exception())
    for _ in range(5):
        await asyncio.sleep(0)


def contained(work: Coroutine[Any, Any, Any]) -> Outcome[Any]:
    async def scenario() -> Outcome[Any]:
        outcome = await Containment().run(work)
        await asyncio.sleep(0)  # the loop goes on
        return outcome

    return asyncio.run(scenario())


def test_a_value_comes_through() -> None:
    assert contained(gives(1)).result() == 1


@pytest.mark.parametrize(
    "error",
    [ValueError(), asyncio.CancelledError(), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), StopAsyncIteration()],
)
def test_every_exception_is_given_back(error: BaseException) -> None:
    found = contained(raises(error)).error
    assert found is error or isinstance(found, RuntimeError)  # Python's own way with StopAsyncIteration


@pytest.mark.parametrize("work", [awaits_a_cancelled_task, cancels_itself])
def test_a_cancellation_of_its_own_is_an_error_of_its_own(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    assert isinstance(contained(work()).error, asyncio.CancelledError)


@pytest.mark.parametrize(
    "work",
    [
        exits_in(asyncio.create_task),
        exits_in(asyncio.gather),
        exits_in(lambda work: asyncio.wait_for(work, 5)),
        exits_in(asyncio.shield),
        exits_in_a_group(),
    ],
    ids=["task", "gather", "wait_for", "shield", "group"],
)
def test_an_exit_in_a_task_that_it_started_does_not_end_the_loop(work: Coroutine[Any, Any, None]) -> None:
    error = contained(work).error
    assert error is not None
    assert "SystemExit: 3" in described(error)


def test_an_exit_in_a_task_that_nobody_awaits_does_not_end_the_loop() -> None:
    assert contained(exits_in_a_task_that_nobody_awaits()).error is None


def test_tasks_of_others_are_made_as_before() -> None:
    """A loop's own factory is kept, and an exit of the runtime itself still ends it."""
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work.__name__)
        return asyncio.Task(work, loop=loop, **options)

    async def scenario() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        await Containment().run(gives(1))
        await asyncio.create_task(raises(SystemExit(7)))

    with pytest.raises(SystemExit, match="7"):
        asyncio.run(scenario())
    assert "raises" in made


def test_who_cancels_the_caller_cancels_the_work_too() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def scenario() -> None:
        containment = Containment()
        task = asyncio.create_task(containment.run(work()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["work"]
        assert containment.abandoned == 0

    asyncio.run(scenario())


def test_work_that_ignores_its_cancellation_is_left_behind() -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        containment = Containment(stop_seconds=0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await containment.run(stubborn())
        assert containment.abandoned == 1
        release.set()
        while containment.abandoned:
            await asyncio.sleep(0)

    asyncio.run(scenario())


def test_code_that_does_not_await_is_contained_and_ctrl_c_is_not() -> None:
    def quits() -> None:
        raise SystemExit(0)

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert isinstance(attempt(quits).error, SystemExit)
    assert attempt(lambda: 1).result() == 1
    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)


@pytest.mark.parametrize(
    ("error", "type", "message"),
    [
        (ToolError("out_of_stock", "没有了"), "out_of_stock", "没有了"),
        (ExceptionGroup("g", [ExceptionGroup("h", [ToolError("x", "y")])]), "x", "y"),
        (TimeoutError(), "timeout", "tool 't': timed out"),
        (KeyError("k"), "execution_error", "tool 't': KeyError: 'k'"),
        (
            ExceptionGroup("g", [ValueError(str(number)) for number in range(9)]),
            "execution_error",
            "tool 't': ExceptionGroup: ValueError: 0; ValueError: 1; ValueError: 2; …",
        ),
    ],
)
def test_an_error_becomes_the_failure_of_its_attempt(error: BaseException, type: str, message: str) -> None:
    failure = node_failure(error, "tool 't'")
    assert isinstance(failure, NodeError)
    assert (failure.type, failure.message) == (type, message)


def test_groups_within_groups_without_end_are_no_recursion() -> None:
    error: Exception = ValueError("deep")
    for _ in range(5000):
        error = ExceptionGroup("g", [error])
    assert described(error) == "ValueError: deep"
