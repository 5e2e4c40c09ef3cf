"""Counts on their way to the table: what rides, what is written and when, and what becomes of what cannot be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.metrics import AttemptEnded, Metric
from workflow_runtime.deployment.topology import DISPATCH, EVENTS
from workflow_runtime.engine.events import Poked
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Message, Refusal
from workflow_runtime.services.messages import mail_message, parse_mail
from workflow_runtime.services.tally import (
    BURST_WRITES,
    ERRORS_KEPT_MAX,
    ERRORS_MAX,
    FLUSH_SECONDS,
    REFILL_SECONDS,
    RIDES_MAX,
    CountingQueues,
    Sums,
    Tally,
)
from workflow_runtime.storage.counters import CounterStore

START = 1_700_000_000_000
STARTED = "executions\x1fstarted"


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Queues:
    """Takes messages, or fails, or refuses the first."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.fails = self.refuses = False

    def send(self, queue: str, messages: Any) -> list[Refusal]:
        if self.fails:
            raise RetryableError("no network")
        self.sent += [(queue, message) for message in messages]
        return [Refusal(0, "too strange")] if self.refuses else []

    def set_visibility(self, queue: str, seconds: Any) -> None: ...


def mail() -> Message:
    return mail_message("ex", Poked("p", START), "1")


def counted(tally: Tally) -> dict[str, dict[str, int]]:
    """All that a tally holds."""
    return tally.ride()


def test_what_was_counted_rides_on_the_first_mail_and_no_other_message() -> None:
    tally, queues = Tally(Time()), Queues()
    sender = CountingQueues(queues, tally)
    tally.lifecycle("流程", "execution.started", 0)
    sender.send(EVENTS, [mail()])
    sender.send(DISPATCH, [mail(), mail()])
    sender.send(DISPATCH, [mail()])
    counts = [parse_mail(message.body).counts for _, message in queues.sent]
    assert counts == [{}, {"流程": {STARTED: 1}}, {}, {}]
    assert parse_mail(queues.sent[1][1].body).events == parse_mail(mail().body).events
    assert queues.sent[1][1].deduplication_id == mail().deduplication_id


@pytest.mark.parametrize("fault", ["fails", "refuses"])
def test_what_cannot_be_sent_is_counted_again(fault: str) -> None:
    tally, queues = Tally(Time()), Queues()
    setattr(queues, fault, True)
    tally.lifecycle("w", "execution.started", 0)
    try:
        CountingQueues(queues, tally).send(DISPATCH, [mail()])
    except RetryableError:
        assert fault == "fails"
    assert counted(tally) == {"w": {STARTED: 1}}


def test_a_large_mail_takes_nothing_along_and_none_takes_too_much() -> None:
    tally, queues = Tally(Time()), Queues()
    for number in range(RIDES_MAX + 50):
        tally.lifecycle(f"w{number}", "execution.started", 0)
    large = mail_message("ex", Poked("p" * 200_000, START), "1")
    CountingQueues(queues, tally).send(DISPATCH, [large])
    assert parse_mail(queues.sent[0][1].body).counts == {}
    assert len(counted(tally)) == RIDES_MAX
    assert len(counted(tally)) == 50


def test_sums_are_written_when_an_execution_begins_or_ends_but_not_more_often_than_in_a_while_under_load() -> None:
    time = Time()
    tally = Tally(time)
    tally.count(Metric.DEAD_LETTERS, 1)
    assert tally.due() == {}, "nothing has begun or ended"
    tally.lifecycle("w", "execution.started", 0)
    assert tally.due()["w"][STARTED] == 1
    written = 0
    for _ in range(5 * BURST_WRITES):
        tally.lifecycle("w", "execution.completed", 10)
        written += bool(tally.due())
    assert written == BURST_WRITES - 1
    time.now += REFILL_SECONDS * 1000
    assert tally.due()["w"]["executions\x1fcompleted"] == 5 * BURST_WRITES - written
    tally.lifecycle("w", "execution.started", 0)
    assert tally.due() == {}
    time.now += FLUSH_SECONDS * 1000
    assert tally.due() == {"w": {STARTED: 1}}


def test_a_process_that_was_made_long_before_its_first_event_waits_as_any_other() -> None:
    time = Time()
    tally = Tally(time)
    time.now += 24 * 3600 * 1000
    assert tally.due() == {}
    tally.count(Metric.DEAD_LETTERS, 1)
    assert tally.due() == {}
    time.now += FLUSH_SECONDS * 1000
    assert tally.due() == {"": {"events\x1fDeadLetters": 1}}


def test_what_is_no_workflows_goes_along_with_one() -> None:
    time = Time()
    tally = Tally(time)
    tally.count(Metric.DEAD_LETTERS, 2)
    time.now += FLUSH_SECONDS * 1000
    assert tally.due() == {"": {"events\x1fDeadLetters": 2}}
    tally.count(Metric.DEAD_LETTERS, 2)
    tally.lifecycle("w", "execution.failed", 700)
    assert tally.due() == {
        "w": {
            "executions\x1ffailed": 1,
            "execution_duration\x1ffailed\x1f5": 1,
            "execution_duration\x1ffailed\x1fsum": 700,
            "events\x1fDeadLetters": 2,
        }
    }


def test_the_types_of_errors_are_bounded() -> None:
    tally = Tally(Time())
    tally.lifecycle("w", "execution.started", 0)
    for number in range(ERRORS_MAX + 10):
        tally.attempt_ended(AttemptEnded("w", "tool", "t", 1, 5, error=f"own_{number}"))
    errors = {series: value for series, value in tally.due()["w"].items() if series.startswith("node_errors")}
    assert len(errors) == ERRORS_MAX + 1
    assert errors["node_errors\x1ftool\x1f(other)"] == 10


def test_sums_of_all_shards_are_one() -> None:
    with open_backend(None, VirtualClock(START)) as backend:
        for shard in (0, 3, 11):
            store = CounterStore(backend.ports.table, backend.ports.together, shard)
            assert Sums(store).add({"流程": {STARTED: 2}, "": {"events\x1fDeadLetters": 1}}) == {}
        many = {f"node_runs\x1f{number}\x1fsuccess": 1 for number in range(250)}
        Sums(store).add({"many": many})
        assert store.read() == {"流程": {STARTED: 6}, "": {"events\x1fDeadLetters": 3}, "many": many}


class Failing(CounterStore):
    """A store that takes ``left`` updates, and then cannot be reached."""

    left = 3

    def add(self, workflow: str, counts: Mapping[str, int]) -> Counter[str]:
        if not self.left:
            raise RetryableError("out of reach")
        self.left -= 1
        return super().add(workflow, counts)


def test_what_was_written_before_the_table_was_out_of_reach_is_not_written_again() -> None:
    due = {f"w{number}": {f"node_runs\x1f{each}\x1fsuccess": 1 for each in range(100)} for number in range(3)}
    with open_backend(None, VirtualClock(START)) as backend:
        store = Failing(backend.ports.table, backend.ports.together, 1)
        sums = Sums(store)
        left = sums.add(due)
        assert [len(left[workflow]) for workflow in left] == [20, 100]
        store.left = 10
        assert sums.add(left) == {}
        assert store.read() == due


def test_types_of_errors_that_each_process_makes_up_do_not_fill_the_item_of_a_workflow() -> None:
    with open_backend(None, VirtualClock(START)) as backend:
        store = CounterStore(backend.ports.table, backend.ports.together, 1)
        for process in range(20):
            made_up = {f"node_errors\x1ftool\x1f{process}.{number}": 1 for number in range(ERRORS_MAX)}
            Sums(store).add({"w": {"node_runs\x1ftool\x1ffailed": ERRORS_MAX, **made_up}})
        found = store.read()["w"]
        assert len(found) <= ERRORS_KEPT_MAX + ERRORS_MAX + 2
        assert found.pop("node_runs\x1ftool\x1ffailed") == sum(found.values()) == 20 * ERRORS_MAX
