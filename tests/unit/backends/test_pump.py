"""The pump plays Lambda's pollers: batches, partial failures, concurrency, virtual time, and the end of work in
progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import Handler, LocalContext, Pump
from workflow_runtime.deployment.topology import EventSource, Function, Queue, Tick, Topology
from workflow_runtime.ports import Message, Schedule

START = 1_700_000_000_000
TOPOLOGY = Topology(
    queues=(
        Queue("work", visibility_seconds=30, dead_letters="dead", receives_max=3),
        Queue("mail.fifo", visibility_seconds=30, fifo=True),
        Queue("dead", visibility_seconds=30),
    ),
    functions=(
        Function("worker", "", 20, 128, (EventSource("work", batch_size=2, concurrency_max=2),)),
        Function("mail", "", 20, 128, (EventSource("mail.fifo", batch_size=10),)),
    ),
)


class Office:
    def __init__(self, topology: Topology = TOPOLOGY) -> None:
        self.clock = VirtualClock(START)
        self.topology = topology
        self.backend: Backend = open_backend(None, self.clock, topology)
        self.seen: list[tuple[int, list[str]]] = []
        self.contexts: list[LocalContext] = []

    def take(self, event: dict[str, Any], context: Any) -> None:
        self.note(event, context)

    def note(self, event: dict[str, Any], context: Any) -> list[str]:
        bodies = [str(record["body"]) for record in event["Records"]]
        self.seen.append((self.clock.now() - START, bodies))
        self.contexts.append(context)
        return bodies

    def send(self, *bodies: str, delay: int = 0) -> None:
        self.backend.ports.queues.send("work", [Message(body, delay_seconds=delay) for body in bodies])

    def run(self, worker: Handler, done: Any = lambda: False) -> bool:
        handlers = {"worker": worker, "mail": self.note}
        pump = Pump(self.backend.poller, self.clock, self.topology, handlers, self.backend.scheduler)
        self.backend.on_send = pump.notice
        return asyncio.run(pump.run(done))


@pytest.fixture
def office() -> Iterator[Office]:
    opened = Office()
    yield opened
    opened.backend.close()


def test_messages_come_in_batches_and_are_deleted_when_the_handler_took_them(office: Office) -> None:
    office.send("a", "b", "c")
    assert office.run(lambda event, context: {"batchItemFailures": office.note(event, context) and []}) is False
    assert [bodies for _, bodies in office.seen] == [["a", "b"], ["c"]]
    assert office.backend.poller.next_visible_at() is None
    assert office.contexts[0].function_name == "worker"
    assert office.contexts[0].get_remaining_time_in_millis() == 20_000


def test_what_a_handler_returned_as_failed_comes_again_until_it_is_a_dead_letter(office: Office) -> None:
    def worker(event: dict[str, Any], context: Any) -> Any:
        office.note(event, context)
        failed = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}

    office.send("good", "bad")
    office.run(worker)
    assert office.seen == [(0, ["good", "bad"]), (30_000, ["bad"]), (60_000, ["bad"])]
    assert [record.event_record["body"] for record in office.backend.poller.receive("dead", 10)] == ["bad"]


def test_time_moves_only_when_all_work_sleeps_and_concurrency_is_limited(office: Office) -> None:
    async def worker(event: dict[str, Any], context: Any) -> None:
        office.note(event, context)
        with office.clock.working():
            await office.clock.sleep(10)

    office.send("a", "b", "c", "d", "e")
    office.run(worker)
    assert office.seen == [(0, ["a", "b"]), (0, ["c", "d"]), (10_000, ["e"])]
    assert office.clock.now() == START + 20_000


def test_a_delayed_message_comes_when_it_is_due(office: Office) -> None:
    office.send("late", delay=300)
    office.run(lambda event, context: office.note(event, context) and None)
    assert office.seen == [(300_000, ["late"])]


def test_work_in_progress_is_cancelled_at_the_end_and_its_message_stays(office: Office) -> None:
    ended: list[str] = []

    async def worker(event: dict[str, Any], context: Any) -> None:
        office.note(event, context)
        try:
            with office.clock.working():
                await office.clock.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    office.send("a")
    assert office.run(worker, lambda: bool(office.seen)) is True
    assert ended == ["cancelled"]
    office.clock.advance_to(START + 31_000)
    assert len(office.backend.poller.receive("work", 10)) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_handler_raises_is_raised_and_its_messages_stay(office: Office, is_async: bool) -> None:
    """Handlers answer with what failed; one that raises has a bug, which a developer wants to see."""

    def worker(event: dict[str, Any], context: Any) -> Any:
        office.note(event, context)
        raise RuntimeError("a bug")

    async def async_worker(event: dict[str, Any], context: Any) -> Any:
        worker(event, context)

    office.send("a", "b")
    with pytest.raises(RuntimeError, match="a bug"):
        office.run(async_worker if is_async else worker)
    office.clock.advance_to(START + 31_000)
    assert len(office.backend.poller.receive("work", 10)) == 2


def test_a_one_time_schedule_moves_virtual_time_to_when_it_is_due(office: Office) -> None:
    year = 365 * 24 * 3600 * 1000
    office.backend.ports.schedules.put(Schedule("far", "work", "x", at=START + year))
    assert office.run(office.take) is False
    assert office.seen == [(year - START % 60_000, ["x"])]


def test_what_repeats_neither_moves_virtual_time_nor_keeps_the_pump_running(office: Office) -> None:
    office.backend.ports.schedules.put(Schedule("often", "work", "x", expression="rate(1 minute)"))
    assert office.run(office.take) is False
    assert (office.clock.now(), office.seen) == (START, [])


def test_what_repeats_fires_while_something_else_lets_time_pass(office: Office) -> None:
    office.backend.ports.schedules.put(Schedule("often", "work", "x", expression="rate(5 minutes)"))
    office.send("late", delay=720)
    office.run(office.take)
    assert office.seen == [(300_000, ["x"]), (600_000, ["x"]), (720_000, ["late"])]


def test_ticks_that_virtual_time_passed_over_fire_once() -> None:
    office = Office(replace(TOPOLOGY, ticks=(Tick("watch", 1, "work"),)))
    office.send("late", delay=720)
    office.run(office.take)
    assert {at for at, _ in office.seen} == {720_000}
    assert sorted(body for _, bodies in office.seen for body in bodies) == ["late", "{}"]
    office.backend.close()


def test_in_real_time_a_schedule_fires_when_it_is_due_and_one_that_repeats_keeps_nobody_waiting() -> None:
    with open_backend(None, topology=TOPOLOGY) as backend:
        seen: list[str] = []
        handlers: dict[str, Handler] = {
            "worker": lambda event, context: seen.extend(record["body"] for record in event["Records"]),  # noqa: ARG005
            "mail": lambda event, context: None,  # noqa: ARG005
        }
        pump = Pump(backend.poller, backend.ports.clock, TOPOLOGY, handlers, backend.scheduler)
        backend.on_send = pump.notice
        backend.ports.schedules.put(Schedule("due", "work", "x", at=backend.ports.clock.now()))
        backend.ports.schedules.put(Schedule("often", "work", "y", expression="rate(1 minute)"))
        assert asyncio.run(pump.run(lambda: False)) is False
        assert seen == ["x"]
