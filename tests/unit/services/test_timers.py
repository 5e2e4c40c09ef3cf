"""Timers fire at or soon after their time, never before, however far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import DISPATCH, TIMERS, TOPOLOGY
from workflow_runtime.engine.events import TimerFired
from workflow_runtime.ports import Message
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import parse_mail, parse_timer
from workflow_runtime.services.timers import Timers, schedule_name

START = 1_700_000_000_123
YEAR_MS = 365 * 24 * 3600 * 1000


class Watch:
    """A runtime's timers, with their queue served like `deliver_timer` does."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.backend: Backend = open_backend(None, self.clock, replace(TOPOLOGY, ticks=()))
        self.timers = Timers(self.backend.ports, Mailer(self.backend.ports, lambda: "id"))
        self.rounds = 0

    def deliver(self) -> None:
        for record in self.backend.poller.receive(TIMERS, 10):
            self.timers.deliver(parse_timer(str(record.event_record["body"])))
            self.backend.poller.delete(TIMERS, [record.receipt_handle])
            self.rounds += 1

    def fired(self) -> list[tuple[int, Any]]:
        """Let time pass until nothing waits any more; what was told to executions, and when."""
        found = []
        while True:
            self.backend.scheduler.fire()
            self.deliver()
            for record in self.backend.poller.receive(DISPATCH, 10):
                found.append((self.clock.now(), parse_mail(str(record.event_record["body"]))))
                self.backend.poller.delete(DISPATCH, [record.receipt_handle])
            times = (self.backend.scheduler.next_at(recurring=False), self.backend.poller.next_visible_at())
            ahead = [time for time in times if time is not None]
            if not ahead:
                return found
            self.clock.advance_to(min(ahead))


@pytest.fixture
def watch() -> Iterator[Watch]:
    opened = Watch()
    yield opened
    opened.backend.close()


@pytest.mark.parametrize(
    "milliseconds", [-5, 0, 1, 999, 60_000, 899_999, 900_000, 900_001, 959_999, 3_600_500, YEAR_MS, 3 * YEAR_MS]
)
def test_an_embedded_timer_fires_at_its_time_to_the_millisecond(watch: Watch, milliseconds: int) -> None:
    due = START + milliseconds
    watch.timers.start("ex-1", "t1", due)
    ((at, mail),) = watch.fired()
    assert at == max(due, START)
    assert mail.execution_id == "ex-1"
    assert mail.event == TimerFired("timer:t1", at, "t1")
    assert watch.rounds <= 3


def test_a_scheduler_that_is_a_minute_late_does_not_make_a_timer_late(watch: Watch) -> None:
    due = START + YEAR_MS
    watch.timers.start("ex-1", "t1", due)
    at = watch.backend.scheduler.next_at()
    assert at is not None
    assert due - 120_000 < at <= due - 60_000


def test_starting_a_timer_again_is_one_timer_to_its_execution(watch: Watch) -> None:
    for due in (START + 5000, START + YEAR_MS):
        for _ in range(2):
            watch.timers.start("ex-1", f"t{due}", due)
    assert [mail.event.timer for _, mail in watch.fired()] == [f"t{START + 5000}", f"t{START + YEAR_MS}"]


def test_timers_of_one_name_in_two_executions_both_fire(watch: Watch) -> None:
    for execution_id in ("ex-1", "ex-2"):
        watch.timers.start(execution_id, "t", START + 5000)
        watch.timers.start(execution_id, "远", START + YEAR_MS)
    assert sorted(mail.execution_id for _, mail in watch.fired()) == ["ex-1", "ex-1", "ex-2", "ex-2"]


def test_a_cancelled_far_timer_leaves_no_schedule(watch: Watch) -> None:
    due = START + YEAR_MS
    watch.timers.start("ex-1", "t1", due)
    watch.timers.cancel("ex-1", "t1", due)
    watch.timers.cancel("ex-1", "never started", due)
    assert watch.fired() == []


def test_cancelling_a_near_timer_costs_nothing_and_it_fires_all_the_same(watch: Watch) -> None:
    watch.timers.start("ex-1", "t1", START + 5000)
    watch.timers.cancel("ex-1", "t1", START + 5000)
    assert len(watch.fired()) == 1


def test_a_timer_message_delivered_twice_tells_once(watch: Watch) -> None:
    watch.timers.start("ex-1", "t1", START)
    (record,) = watch.backend.poller.receive(TIMERS, 10)
    watch.backend.ports.queues.send(TIMERS, [Message(str(record.event_record["body"]))])
    watch.clock.advance_to(START + 200_000)
    assert len(watch.fired()) == 1


def test_the_name_of_a_schedule_fits_the_scheduler() -> None:
    name = schedule_name("ex-" + "0" * 200, "状态/延迟#7")
    assert len(name) <= 64
    assert name.isascii()
    assert name != schedule_name("ex-" + "0" * 201, "状态/延迟#7")


@pytest.mark.parametrize("seconds", [40, 901, YEAR_MS // 1000])
def test_an_execution_waits_so_long_and_goes_on(seconds: int) -> None:
    """The whole way on virtual time: engine, schedule, message, handler, mailbox."""
    clock = VirtualClock(START)
    with LocalRuntime(open_backend(None, clock)) as local:
        source = f"workflow: {{id: w, nodes: [{{id: 等, type: control, subtype: wait, seconds: {seconds}}}]}}"
        local.services.catalog.publish(source.encode())
        execution_id = local.services.starter.start("w")
        assert asyncio.run(local.run_until_ended(execution_id)) == "completed"
    assert clock.now() == START + seconds * 1000


def test_waits_add_up_to_the_millisecond() -> None:
    clock = VirtualClock(START)
    wait = "type: control, subtype: wait"
    nodes = f"[{{id: a, {wait}, duration: 500ms}}, {{id: b, {wait}, duration: 1501ms, depends_on: [a]}}]"
    with LocalRuntime(open_backend(None, clock)) as local:
        local.services.catalog.publish(f"workflow: {{id: w, nodes: {nodes}}}".encode())
        execution_id = local.services.starter.start("w")
        assert asyncio.run(local.run_until_ended(execution_id)) == "completed"
    assert clock.now() == START + 2001
