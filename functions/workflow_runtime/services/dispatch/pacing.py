"""Carrying out many commands in the time that an invocation has: side by side where their order does not matter, and
going on later where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec

from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Clock, Together

BACKOFF_SECONDS_MAX = 60
RESERVE_MS = 5_000  # of an invocation: one more call with the SDK's retries, and giving back what was not begun


class OutOfTime(RetryableError):
    """What is left must be done by another invocation, as soon as possible."""

    def __init__(self) -> None:
        super().__init__("there is no time left in this invocation")


class TimeBudget:
    """What is left of the invocation under way. Outside of `of`, there is no limit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end: int | None = None

    @contextmanager
    def of(self, milliseconds: int) -> Iterator[None]:
        """Meanwhile an invocation is under way that has this long from now."""
        self._end = self._clock.now() + milliseconds
        try:
            yield
        finally:
            self._end = None

    @property
    def is_short(self) -> bool:
        """Whether nothing more should be begun."""
        return self._end is not None and self._end - self._clock.now() <= RESERVE_MS

    def check(self) -> None:
        """Raises `OutOfTime` when nothing more should be begun."""
        if self.is_short:
            raise OutOfTime


class Step(msgspec.Struct, frozen=True):
    """Something to do, by its ``number``. Steps of one ``lane`` are done in order."""

    number: int
    lane: str
    act: Callable[[], None]


def carry_out(steps: Iterable[Step], done: set[int], budget: TimeBudget, together: Together) -> None:
    """Do the steps that are not ``done``; their numbers are added as they are. Raises `OutOfTime`, and what a step
    raised: the steps of other lanes are done all the same.
    """
    lanes: dict[str, list[Step]] = {}
    for step in steps:
        if step.number not in done:
            lanes.setdefault(step.lane, []).append(step)
    together([partial(_follow, lane, done, budget) for lane in lanes.values()])
    if any(step.number not in done for lane in lanes.values() for step in lane):
        raise OutOfTime


def _follow(lane: list[Step], done: set[int], budget: TimeBudget) -> None:
    for step in lane:
        if budget.is_short:
            return
        step.act()
        done.add(step.number)


def backoff_seconds(receives: int) -> int:
    """How long a group waits after its ``receives``-th failed delivery: 1, 2, 4 … 60 s."""
    return min(1 << min(max(receives - 1, 0), 6), BACKOFF_SECONDS_MAX)
