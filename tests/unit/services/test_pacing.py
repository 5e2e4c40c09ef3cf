"""Much to do in little time: side by side, in order where it matters, and further on the next time."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from workflow_runtime.backends.aws.backend import TOGETHER_MAX, in_threads
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.ports import in_turn
from workflow_runtime.services.dispatch.pacing import RESERVE_MS, OutOfTime, Step, TimeBudget, carry_out

START = 1_700_000_000_000


def test_what_there_is_no_time_for_is_left_and_done_the_next_time() -> None:
    clock = VirtualClock(START)
    budget = TimeBudget(clock)
    acts: list[int] = []

    def act(number: int) -> None:
        acts.append(number)
        clock.advance_to(clock.now() + 1_000)

    steps = [Step(number, f"lane {number % 2}", partial(act, number)) for number in range(9)]
    done: set[int] = set()
    with budget.of(RESERVE_MS + 4_000), pytest.raises(OutOfTime):
        carry_out(steps, done, budget, in_turn)
    assert len(acts) == 4
    carry_out(steps, done, budget, in_turn)
    assert sorted(acts) == list(range(9)), "each is done once"
    assert [number for number in acts if number % 2] == [1, 3, 5, 7], "a lane keeps its order"


@pytest.mark.parametrize("together", [in_turn, in_threads])
def test_what_fails_keeps_nothing_else_from_being_done(together) -> None:  # type: ignore[no-untyped-def]
    def act(number: int) -> None:
        if number in (2, 4):
            raise ValueError(f"step {number}")

    steps = [Step(number, f"lane {number % 3}", partial(act, number)) for number in range(9)]
    done: set[int] = set()
    with pytest.raises(ValueError, match=r"step [24]"):
        carry_out(steps, done, TimeBudget(VirtualClock(START)), together)
    assert done == {0, 1, 3, 6}, "what stands behind a failure in its lane waits"


def test_on_aws_as_many_calls_as_threads_are_made_at_once() -> None:
    meeting = threading.Barrier(TOGETHER_MAX, timeout=100)
    in_threads([lambda: _none(meeting.wait())] * TOGETHER_MAX)


def test_calls_that_make_calls_together_never_wait_for_a_thread_that_nobody_can_get() -> None:
    """Of twice as many groups as there are threads, each sends to several places at once."""
    made: list[int] = []
    inner = [partial(made.append, number) for number in range(3)]
    in_threads([partial(in_threads, inner)] * (2 * TOGETHER_MAX))
    assert len(made) == 6 * TOGETHER_MAX


def _none(_: int) -> None:
    return None
