"""Settling: all that can run without timers and without the outside; and letting a certain time pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import Pump
from workflow_runtime.deployment.topology import TIMERS, EventSource, Function, Queue, Topology
from workflow_runtime.ports import Message, Schedule

START = 1_700_000_040_000  # a full minute
WORK = "work"
TOPOLOGY = Topology(
    queues=(Queue(WORK, visibility_seconds=600), Queue(TIMERS, visibility_seconds=30)),
    functions=(
        Function("worker", "", 20, 128, (EventSource(WORK, batch_size=2, concurrency_max=2),)),
        Function("timers", "", 20, 128, (EventSource(TIMERS, batch_size=10),)),
    ),
)


class Desk:
    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.backend: Backend = open_backend(None, self.clock, TOPOLOGY)
        self.seen: list[tuple[int, str]] = []
        handlers = {"timers": self.note, "worker": self.work}
        self.pump = Pump(self.backend.poller, self.clock, TOPOLOGY, handlers, self.backend.scheduler)
        self.backend.on_send = self.pump.notice

    def note(self, event: dict[str, Any], context: Any) -> None:  # noqa: ARG002
        self.seen += [(self.now, str(record["body"])) for record in event["Records"]]

    async def work(self, event: dict[str, Any], context: Any) -> None:
        with self.clock.working():
            await self.clock.sleep(20)
            self.note(event, context)

    @property
    def now(self) -> int:
        return (self.clock.now() - START) // 1000

    def send(self, queue: str, body: str, delay: int = 0) -> None:
        self.backend.ports.queues.send(queue, [Message(body, delay_seconds=delay)])

    def run(self, **options: Any) -> bool:
        return asyncio.run(self.pump.run(lambda: False, **options))


def moment(time: int, act: Callable[[], None] = lambda: None) -> list[tuple[int, Callable[[], None]]]:
    return [(time, act)]


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    yield opened
    opened.backend.close()


def test_settling_does_not_wait_for_timers_and_schedules(desk: Desk) -> None:
    desk.send(TIMERS, "timer", 30)
    desk.backend.ports.schedules.put(Schedule("once", TIMERS, "later", at=START + 3_600_000))
    assert desk.run(settle=True) is False
    assert (desk.now, desk.seen) == (0, [])
    assert desk.run() is False
    assert desk.seen == [(30, "timer"), (3600, "later")]


def test_settling_waits_for_work_in_progress_and_what_is_retried_later(desk: Desk) -> None:
    desk.send(WORK, "at once")
    desk.send(WORK, "again", 60)
    desk.send(TIMERS, "far", 500)
    desk.run(settle=True)
    assert (desk.now, desk.seen) == (80, [(20, "at once"), (80, "again")])


def test_what_is_due_while_work_goes_on_comes_at_its_time(desk: Desk) -> None:
    desk.send(WORK, "work")
    desk.send(TIMERS, "soon", 5)
    desk.send(TIMERS, "later", 30)
    desk.run(settle=True)
    assert (desk.now, desk.seen) == (20, [(5, "soon"), (20, "work")])


def test_at_a_moment_something_is_done_while_work_goes_on(desk: Desk) -> None:
    desk.send(WORK, "long")
    acts = [
        *moment(START + 2_000, lambda: desk.send(TIMERS, "a")),
        *moment(START + 3_000, lambda: desk.send(TIMERS, "b")),
    ]
    desk.run(moments=acts)
    assert desk.seen == [(2, "a"), (3, "b"), (20, "long")]


def test_a_deadline_is_kept_though_messages_never_end(desk: Desk) -> None:
    def again(event: dict[str, Any], context: Any) -> None:  # noqa: ARG001
        desk.send(TIMERS, "again")

    handlers: dict[str, Any] = {"timers": again, "worker": desk.work}
    pump = Pump(desk.backend.poller, desk.clock, TOPOLOGY, handlers, desk.backend.scheduler)
    desk.backend.on_send = pump.notice
    desk.send(TIMERS, "first")

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pump.run(lambda: False), 0.05)

    asyncio.run(run())


def test_time_passes_up_to_a_moment_and_what_is_due_comes_in_order(desk: Desk) -> None:
    for body, delay in (("b", 50), ("a", 10), ("late", 500)):
        desk.send(TIMERS, body, delay)
    assert desk.run(moments=moment(START + 100_000)) is False
    assert (desk.now, desk.seen) == (100, [(10, "a"), (50, "b")])


def test_time_passes_though_nothing_is_there_to_wait_for(desk: Desk) -> None:
    desk.run(moments=moment(START + 86_400_000))
    assert desk.now == 86_400


def test_work_begun_just_before_the_moment_comes_to_its_end(desk: Desk) -> None:
    desk.send(WORK, "work", 90)
    desk.run(moments=moment(START + 100_000))
    assert (desk.now, desk.seen) == (110, [(110, "work")])


def test_a_pump_rests_when_only_timers_are_to_come(desk: Desk) -> None:
    desk.send(TIMERS, "timer", 30)
    assert desk.pump.rests
    desk.send(WORK, "work", 10)
    assert not desk.pump.rests
    desk.run(settle=True)
    assert desk.pump.rests
