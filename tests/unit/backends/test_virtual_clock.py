"""Virtual time moves only when it is told to, and nobody can miss that work is still being done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.alive import made_meanwhile

from workflow_runtime.backends.embedded.clock import RealClock, VirtualClock


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def run(clock: VirtualClock, work: Coroutine[Any, Any, Any]) -> Any:
    """Play the pump: run ``work`` as work in progress, moving time on whenever all of it waits."""

    async def in_progress() -> Any:
        with clock.working():
            return await work

    task = asyncio.create_task(in_progress())
    for _ in range(1000):
        await settle()
        if task.done():
            return task.result()
        if clock.idle:
            wakeup = clock.next_wakeup()
            assert wakeup is not None
            clock.advance_to(wakeup)
    raise AssertionError("the work never ended")


def test_time_starts_where_it_is_told_and_never_goes_back():
    clock = VirtualClock(1000)
    assert clock.now() == 1000
    clock.advance_to(500)
    assert clock.now() == 1000
    clock.advance_to(2000)
    assert clock.now() == 2000
    assert clock.next_wakeup() is None
    assert clock.idle


def test_sleepers_wake_in_the_order_of_their_times():
    async def scenario() -> None:
        clock = VirtualClock(0)
        woken: list[tuple[str, int]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.now()))

        tasks = [asyncio.create_task(sleeper(*each)) for each in (("c", 3), ("a", 1), ("b", 1), ("d", 0.0001))]
        await settle()
        assert clock.next_wakeup() == 1
        while (wakeup := clock.next_wakeup()) is not None:
            clock.advance_to(wakeup)
            await settle()
        assert woken == [("d", 1), ("a", 1000), ("b", 1000), ("c", 3000)]
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_a_sleep_of_nothing_only_yields():
    asyncio.run(VirtualClock(0).sleep(0))


def test_a_cancelled_sleeper_is_forgotten():
    async def scenario() -> None:
        clock = VirtualClock(0)
        task = asyncio.create_task(clock.sleep(5))
        await settle()
        task.cancel()
        await asyncio.wait((task,))
        assert clock.next_wakeup() is None

    asyncio.run(scenario())


def test_work_is_idle_only_while_it_sleeps():
    async def scenario() -> None:
        clock = VirtualClock(0)
        gate = asyncio.Event()

        async def work() -> None:
            with clock.working(), clock.working():  # marking it twice changes nothing
                await gate.wait()
                await clock.sleep(1)

        task = asyncio.create_task(work())
        await settle()
        assert not clock.idle
        gate.set()
        await settle()
        assert clock.idle
        clock.advance_to(1000)
        assert not clock.idle  # woken, though it did not run yet
        await task
        assert clock.idle

    asyncio.run(scenario())


def test_one_busy_piece_of_work_holds_the_time_for_all():
    async def scenario() -> None:
        clock = VirtualClock(0)
        gate = asyncio.Event()

        async def work(coroutine: Coroutine[Any, Any, Any]) -> None:
            with clock.working():
                await coroutine

        tasks = [asyncio.create_task(work(clock.sleep(1))), asyncio.create_task(work(gate.wait()))]
        await settle()
        assert not clock.idle
        gate.set()
        await settle()
        assert clock.idle
        clock.advance_to(1000)
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_work_inside_work_stands_in_for_it():
    clock = VirtualClock(0)

    async def part(seconds: float) -> int:
        with clock.working():
            await clock.sleep(seconds)
            return clock.now()

    async def whole() -> list[int]:
        return list(await asyncio.gather(part(1), part(5), part(3)))

    assert asyncio.run(run(clock, whole())) == [1000, 5000, 3000]


def test_a_sleep_in_the_background_does_not_make_busy_work_idle():
    async def scenario() -> None:
        clock = VirtualClock(0)
        gate = asyncio.Event()

        async def work() -> None:
            with clock.working():
                renewal = asyncio.create_task(clock.sleep(30))
                await gate.wait()
                renewal.cancel()

        task = asyncio.create_task(work())
        await settle()
        assert not clock.idle
        gate.set()
        await task
        assert clock.idle

    asyncio.run(scenario())


def test_within_gives_the_result_of_work_that_is_done_in_time():
    clock = VirtualClock(0)

    async def work() -> str:
        await clock.sleep(9)
        return "done"

    assert asyncio.run(run(clock, clock.within(10, work()))) == "done"
    assert clock.now() == 9000


def test_within_cancels_work_that_takes_longer_and_waits_for_its_clean_up():
    clock = VirtualClock(0)
    cleaned: list[int] = []

    async def work() -> None:
        try:
            await clock.sleep(11)
        finally:
            await clock.sleep(2)
            cleaned.append(clock.now())

    with pytest.raises(TimeoutError):
        asyncio.run(run(clock, clock.within(10, work())))
    assert cleaned == [12000]


def test_within_passes_on_the_error_of_the_work():
    clock = VirtualClock(0)

    async def work() -> None:
        await clock.sleep(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(run(clock, clock.within(10, work())))
    assert clock.next_wakeup() is None


def test_a_timeout_alone_does_not_make_busy_work_idle():
    async def scenario() -> None:
        clock = VirtualClock(0)
        gate = asyncio.Event()

        async def work() -> bool:
            with clock.working():
                return await clock.within(10, gate.wait())

        task = asyncio.create_task(work())
        await settle()
        assert not clock.idle
        assert clock.next_wakeup() == 10_000
        gate.set()
        assert await task is True

    asyncio.run(scenario())


def test_a_fired_timeout_counts_as_work_until_it_was_handled():
    async def scenario() -> None:
        clock = VirtualClock(0)

        async def work() -> None:
            with clock.working():
                await clock.within(10, clock.sleep(100))

        task = asyncio.create_task(work())
        await settle()
        assert clock.idle
        clock.advance_to(10_000)
        assert not clock.idle
        with pytest.raises(TimeoutError):
            await task
        assert clock.idle
        assert clock.next_wakeup() is None

    asyncio.run(scenario())


def test_cancelling_within_cancels_the_work_and_waits_for_it():
    async def scenario() -> None:
        clock = VirtualClock(0)
        ended: list[str] = []

        async def work() -> None:
            try:
                await clock.sleep(100)
            finally:
                await asyncio.sleep(0)
                ended.append("work")

        async def outer() -> None:
            with clock.working():
                await clock.within(10, work())

        task = asyncio.create_task(outer())
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["work"]
        assert clock.idle
        assert clock.next_wakeup() is None

    asyncio.run(scenario())


def test_timeouts_that_never_fire_leave_nothing_behind():
    async def scenario() -> None:
        clock = VirtualClock(0)
        with clock.working(), made_meanwhile(asyncio.Future) as alive:
            for _ in range(1000):
                await clock.within(900, asyncio.sleep(0))
            assert alive() < 200
        assert clock.next_wakeup() is None

    asyncio.run(scenario())


def test_whoever_moves_the_time_hears_when_work_begins_to_wait_or_ends():
    async def scenario() -> None:
        clock = VirtualClock(0)
        idle: list[bool] = []
        clock.on_rest = lambda: idle.append(clock.idle)

        async def work() -> None:
            with clock.working():
                await clock.sleep(1)

        task = asyncio.create_task(work())
        await settle()
        assert idle == [True]
        clock.advance_to(1000)
        await task
        assert idle == [True, True]

    asyncio.run(scenario())


def test_nested_timeouts_fire_at_their_own_times():
    clock = VirtualClock(0)

    async def inner() -> str:
        try:
            await clock.within(3, clock.sleep(100))
        except TimeoutError:
            return f"inner at {clock.now()}"
        return "never"

    assert asyncio.run(run(clock, clock.within(10, inner()))) == "inner at 3000"


@pytest.mark.parametrize("clock", [RealClock(), VirtualClock(0)], ids=["real", "virtual"])
def test_no_time_limit_means_none(clock):
    async def work() -> int:
        with clock.working():
            return 7

    assert asyncio.run(clock.within(None, work())) == 7


def test_the_real_clock_gives_up_too_and_waits_for_the_clean_up():
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(TimeoutError):
        asyncio.run(RealClock().within(0, work()))
    assert cleaned == [True]
    asyncio.run(RealClock().sleep(0))
    assert RealClock().now() > 1_700_000_000_000
