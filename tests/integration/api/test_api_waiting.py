"""Long polls: soon at first, seldom later, never beyond their time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.api.waiting import (
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    WAIT_SECONDS_MAX,
    wait_until,
)


def looks(seconds: float, yes_at_ms: int | None = None, ending_at_ms: int | None = None) -> tuple[bool, list[int]]:
    """Whether it was there in time, and when it was looked for (ms from the start)."""
    clock = VirtualClock()
    runtime: Any = SimpleNamespace(
        ports=SimpleNamespace(clock=clock),
        is_ending=lambda: ending_at_ms is not None and clock.now() >= ending_at_ms,
    )
    times: list[int] = []

    async def look() -> bool:
        times.append(clock.now())
        return yes_at_ms is not None and clock.now() >= yes_at_ms

    async def wait() -> bool:
        waiting = asyncio.ensure_future(wait_until(runtime, seconds, look))
        while not waiting.done():
            await asyncio.sleep(0)
            wakeup = clock.next_wakeup()
            if wakeup is not None:
                clock.advance_to(wakeup)
        return waiting.result()

    return asyncio.run(wait()), times


def test_a_process_that_ends_answers_within_a_second() -> None:
    found, times = looks(25, ending_at_ms=3000)
    assert not found
    assert 3000 <= times[-1] <= 4000


def test_what_is_there_is_answered_at_once() -> None:
    assert looks(25, yes_at_ms=0) == (True, [0])


def test_the_last_look_is_at_the_end() -> None:
    found, times = looks(25)
    assert not found
    assert times[-1] == 25_000


def test_pauses_grow_to_a_second() -> None:
    _, times = looks(25)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] == PAUSE_SECONDS_MIN * 1000
    assert max(pauses) <= PAUSE_SECONDS_MAX * 1000
    assert len(times) < 40


@pytest.mark.parametrize("at", [10, 700, 24_900])
def test_what_comes_in_time_is_found_soon_after(at: int) -> None:
    found, times = looks(25, yes_at_ms=at)
    assert found
    assert at <= times[-1] <= at + PAUSE_SECONDS_MAX * 1000


def test_the_longest_wait_ends_before_the_function_does() -> None:
    assert TOPOLOGY.function("api").timeout_seconds - WAIT_SECONDS_MAX >= 3
