"""`dispatch`: one execution's events after the other, failures by FIFO group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from tests.handlers.bench import Bench

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.events import Poked
from workflow_runtime.ports import in_turn
from workflow_runtime.services.messages import mail_message
from workflow_runtime.storage.dead_letters import LetterStore
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import Globals, Header

NODE = "    - {id: a, type: tool, tool: echo, inputs: {x: 1}}\n"


def without_plan(bench: Bench, execution_id: str) -> str:
    """An execution that no dispatcher can take up (yet): its plan is not there."""
    header = Header(
        execution_id=execution_id,
        workflow_id="w",
        workflow_version=1,
        plan_hash="0" * 40,
        status="pending",
        started_at=bench.clock.now(),
    )
    ExecutionStore(bench.backend.ports.table, bench.backend.ports.blobs).create(header, Globals({}))
    return execution_id


def poke(bench: Bench, *execution_ids: str) -> None:
    messages = [mail_message(each, Poked(f"poke:{n}", 0), f"{n}") for n, each in enumerate(execution_ids)]
    bench.backend.ports.queues.send(DISPATCH, messages)


def throw_away(bench: Bench) -> None:
    """Delete what is in the mailboxes, also what is hidden."""
    while bench.backend.poller.next_visible_at() is not None:
        bench.pass_time(100)
        records = bench.receive(DISPATCH)
        if not records:
            return
        bench.backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])


def group(record: object) -> str:
    return str(record.event_record["attributes"]["MessageGroupId"])  # type: ignore[attr-defined]


def test_a_failed_groups_records_are_returned_and_hidden_for_a_second_while_other_groups_go_on(bench: Bench) -> None:
    started = bench.start(NODE)
    bad = without_plan(bench, "ex-without-plan")
    poke(bench, bad, started, bad)
    records = bench.receive(DISPATCH)
    failed = bench.invoke(DISPATCH, records)
    assert failed == [record.event_record["messageId"] for record in records if group(record) == bad]
    assert len(failed) == 2
    assert bench.document(started)["status"] == "running"
    assert bench.receive(DISPATCH) == []
    bench.pass_time(2)
    again = bench.receive(DISPATCH)
    assert {group(record) for record in again} == {bad}
    bench.invoke(DISPATCH, again)
    bench.pass_time(1)
    assert bench.receive(DISPATCH) == [], "the second failure hides the group for two seconds"
    throw_away(bench)
    bench.drain()
    assert bench.document(started)["status"] == "completed"


def test_a_body_that_is_no_event_is_a_dead_letter_and_holds_up_nobody(bench: Bench) -> None:
    execution_id = bench.start(NODE)
    message = mail_message(execution_id, Poked("poke:x", 0), "x")
    poison = type(message)("no event", group=execution_id, deduplication_id="poison")
    bench.backend.ports.queues.send(DISPATCH, [poison])
    assert bench.invoke(DISPATCH, bench.receive(DISPATCH)) == []
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"
    ports = bench.backend.ports
    assert [letter["body"] for letter in LetterStore(ports.table, ports.blobs).documents(execution_id)] == ["no event"]


def test_events_are_counted(bench: Bench) -> None:
    bench.counts.clear()
    bench.start(NODE)
    bench.drain()
    assert ("EventsDispatched", 1) in bench.counts
    assert ("OrdersTaken", 1) in bench.counts


def test_executions_of_one_batch_are_taken_side_by_side(bench: Bench) -> None:
    at_once: list[int] = []

    def together(calls: Sequence[Callable[[], None]]) -> None:
        at_once.append(len(calls))
        in_turn(calls)

    started = [bench.start(NODE) for _ in range(3)]
    with bench.on(replace(bench.backend.ports, together=together)):
        assert bench.invoke(DISPATCH, bench.receive(DISPATCH)) == []
        assert at_once[0] == 3
    assert {bench.document(each)["status"] for each in started} == {"running"}


def test_a_group_that_cannot_be_taken_at_all_comes_again_alone(bench: Bench) -> None:
    asked: list[int] = []

    def together(calls: Sequence[Callable[[], None]]) -> None:
        asked.append(len(calls))
        in_turn(calls)

    for _ in range(3):
        bench.start(NODE)
    with bench.on(replace(bench.backend.ports, together=together)):
        records = bench.receive(DISPATCH)
        records[1].event_record["attributes"]["SentTimestamp"] = "yesterday"
        assert bench.invoke(DISPATCH, records) == [records[1].event_record["messageId"]]
    assert asked.count(3) == 1, "no group is taken twice"
