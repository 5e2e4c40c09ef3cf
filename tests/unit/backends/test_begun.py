"""`ports.calls.Begun`: a coroutine is run up to where it first waits, and goes on as if it had been awaited."""

from __future__ import annotations

import asyncio

import pytest

from workflow_runtime.ports.calls import Begun


async def _given(value: str) -> str:
    return value


def test_what_does_not_wait_has_ended() -> None:
    begun = Begun(_given("done"))
    assert not begun.waits
    assert begun.result == "done"


def test_what_it_raises_at_once_is_raised_at_once() -> None:
    async def fails() -> None:
        raise KeyError("at once")

    with pytest.raises(KeyError, match="at once"):
        Begun(fails())


def test_what_waits_goes_on_within_what_was_set_up_meanwhile() -> None:
    async def run() -> tuple[bool, str]:
        async def waits() -> str:
            for _ in range(3):
                await asyncio.sleep(0)
            answer = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(answer.set_result, "come")
            try:
                await asyncio.sleep(0)
                raise KeyError
            except KeyError:
                return await answer

        begun = Begun(waits())
        async with asyncio.timeout(60):
            return begun.waits, await begun.rest()

    assert asyncio.run(run()) == (True, "come")


def test_a_timeout_set_up_after_the_beginning_cancels_it() -> None:
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def run() -> None:
        begun = Begun(hangs())
        async with asyncio.timeout(0):
            await begun.rest()

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert ended == ["cancelled"]


def test_what_it_raises_later_is_raised_where_it_is_awaited() -> None:
    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise KeyError("later")

    async def run() -> None:
        await Begun(fails_later()).rest()

    with pytest.raises(KeyError, match="later"):
        asyncio.run(run())


def test_it_is_closed_with_whoever_awaits_it() -> None:
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("closed")

    async def run() -> None:
        await Begun(hangs()).rest()

    async def outer() -> None:
        waiting = run()
        waiting.send(None)
        waiting.close()

    asyncio.run(outer())
    assert ended == ["closed"]
