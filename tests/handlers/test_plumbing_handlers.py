"""`deliver_timer`, `dead_letter` and `sweep`, fed as Lambda feeds them, on both backends."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.broken import Broken
from tests.handlers.bench import Bench

from workflow_runtime.deployment.topology import (
    DEAD_LETTERS,
    DEAD_LETTERS_FIFO,
    DISPATCH,
    EVENTS,
    EXPRESS,
    SWEEP,
    TIMERS,
    node_queue,
)
from workflow_runtime.engine.events import Poked, TimerFired
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Message
from workflow_runtime.services.express import ExpressOrder, express_body
from workflow_runtime.services.messages import Timer, mail_message, parse_mail, timer_body
from workflow_runtime.storage.dead_letters import LetterStore

NODES = "    - {id: a, type: tool, tool: echo, inputs: {x: 1}}\n"


@pytest.fixture(autouse=True)
def empty(bench: Bench) -> None:
    for queue in (DISPATCH, TIMERS, SWEEP, DEAD_LETTERS, DEAD_LETTERS_FIFO, node_queue("tool")):
        lose(bench, queue)
    bench.counts.clear()


def lose(bench: Bench, queue: str) -> list[str]:
    bodies: list[str] = []
    while records := bench.receive(queue):
        bench.backend.poller.delete(queue, [record.receipt_handle for record in records])
        bodies += [str(record.event_record["body"]) for record in records]
    return bodies


def letters(bench: Bench, execution_id: str) -> list[Any]:
    ports = bench.runtime.ports
    found: Any = LetterStore(ports.table, ports.blobs).documents(execution_id)
    return [letter["reason"] for letter in found]


def test_a_far_timer_comes_by_schedule_and_message_and_fires_not_before_its_time(bench: Bench) -> None:
    due = bench.clock.now() + 3_600_000
    bench.runtime.timers.start("ex-far", "t1", due)
    assert bench.receive(TIMERS) == []
    bench.pass_time(3600 - 30)
    bench.backend.scheduler.fire()
    for _ in range(3):
        records = bench.receive(TIMERS)
        if records:
            assert bench.invoke(TIMERS, records) == []
        if bench.clock.now() < due:
            assert bench.receive(DISPATCH) == []
        bench.pass_time(31)
    (body,) = lose(bench, DISPATCH)
    event = parse_mail(body).event
    assert isinstance(event, TimerFired)
    assert event.at >= due
    assert ("TimersDelivered", 1) in bench.counts


def test_a_body_that_is_no_timer_is_recorded_and_holds_up_nobody(bench: Bench) -> None:
    good = timer_body(Timer("ex-good", "t2", bench.clock.now()))
    bench.runtime.ports.queues.send(TIMERS, [Message("{"), Message(good)])
    while records := bench.receive(TIMERS):
        assert bench.invoke(TIMERS, records) == []
    assert [parse_mail(body).execution_id for body in lose(bench, DISPATCH)] == ["ex-good"]
    assert bench.runtime.ports.table.query("DEAD")
    assert ("DeadLetters", 1) in bench.counts


def test_a_dead_order_is_recorded_and_its_node_gets_another_attempt(bench: Bench) -> None:
    execution_id = bench.start(NODES)
    bench.deliver(DISPATCH)
    bench.runtime.ports.queues.send(DEAD_LETTERS, [Message(body) for body in lose(bench, node_queue("tool"))])
    assert bench.invoke(DEAD_LETTERS, bench.receive(DEAD_LETTERS)) == []
    assert letters(bench, execution_id) == ["order: given up by its queue"]
    assert ("DeadLetters", 1) in bench.counts
    bench.drain()
    document = bench.document(execution_id)
    assert (document["status"], document["node_executions"]["a"]["attempts"]) == ("completed", 2)


def test_dead_mail_of_the_fifo_queue_is_recorded(bench: Bench) -> None:
    message = Message("no event", group="ex-mail", deduplication_id="d1")
    bench.runtime.ports.queues.send(DEAD_LETTERS_FIFO, [message])
    assert bench.invoke(DEAD_LETTERS_FIFO, bench.receive(DEAD_LETTERS_FIFO)) == []
    assert bench.receive(DEAD_LETTERS_FIFO) == []


def test_what_cannot_be_recorded_now_comes_again(bench: Bench) -> None:
    table: Any = Broken(RetryableError("throttled"))
    for queue in (DEAD_LETTERS, SWEEP):
        bench.runtime.ports.queues.send(queue, [Message("{}")])
        with bench.on(replace(bench.runtime.ports, table=table)):
            assert len(bench.invoke(queue, bench.receive(queue))) == 1


def test_the_sweep_finds_a_lost_order(bench: Bench) -> None:
    execution_id = bench.start(NODES)
    bench.deliver(DISPATCH)
    assert len(lose(bench, node_queue("tool"))) == 1
    bench.pass_time(121)
    bench.runtime.ports.queues.send(SWEEP, [Message("{}")])
    assert bench.invoke(SWEEP, bench.receive(SWEEP)) == []
    while bench.deliver(SWEEP):
        pass
    assert ("OrdersSentAgain", 1) in bench.counts
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"


def test_the_tick_of_the_topology_reaches_the_sweep(bench: Bench) -> None:
    bench.backend.scheduler.next_at()
    bench.pass_time(60)
    bench.backend.scheduler.fire()
    assert lose(bench, SWEEP) == ["{}"]


UNREADABLE = {
    "text": "no JSON",
    "empty": "{}",
    "deep": "[" * 3000 + "]" * 3000,
    "goes on": "{}{}",
    "breaks off": '{"execution_id": "ex-deep", "event": {"event": "poked"}, "at": 1e}',
    "long id": f'{{"execution_id": "{"x" * 2000}", "event": {{"event": "poked", "event_id": "e", "at": 1}}}}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize(
    "queue", [DISPATCH, TIMERS, EVENTS, node_queue("tool"), EXPRESS, DEAD_LETTERS, DEAD_LETTERS_FIFO]
)
def test_what_nobody_can_read_is_a_recorded_dead_letter_at_first_sight(bench: Bench, queue: str, body: str) -> None:
    before = len(unaddressed(bench)) + len(letters(bench, "ex-deep"))
    fifo = {"group": "ex-deep", "deduplication_id": f"d{len(body)}"} if queue.endswith(".fifo") else {}
    bench.runtime.ports.queues.send(queue, [Message(body, **fifo)])
    assert bench.invoke(queue, bench.receive(queue)) == []
    assert len(unaddressed(bench)) + len(letters(bench, "ex-deep")) == before + 1


def test_an_order_for_an_express_execution_that_is_none_is_not_carried_out(bench: Bench) -> None:
    execution_id = bench.start(NODES)
    bench.runtime.ports.queues.send(EXPRESS, [Message(express_body(ExpressOrder(execution_id)))])
    assert bench.invoke(EXPRESS, bench.receive(EXPRESS)) == []
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"


def test_an_event_that_only_a_newer_version_knows_waits_for_it_and_holds_its_place(bench: Bench) -> None:
    execution_id = bench.start(NODES)
    lose(bench, DISPATCH)
    newer = f'{{"execution_id": "{execution_id}", "event": {{"event": "of_a_newer_version"}}}}'
    known = mail_message(execution_id, Poked("p", 0), "i")
    first = Message(newer, group=execution_id, deduplication_id="newer")
    bench.runtime.ports.queues.send(DISPATCH, [first, known])
    records = bench.receive(DISPATCH)
    assert bench.invoke(DISPATCH, records) == [record.event_record["messageId"] for record in records]
    assert letters(bench, execution_id) == []


def unaddressed(bench: Bench) -> list[Any]:
    return list(bench.runtime.ports.table.query("DEAD"))
