"""Every message that its queue gave up is recorded, and who waits for it is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import DISPATCH, TIMERS, node_queue
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import Poked
from workflow_runtime.errors import RetryableError
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.messages import (
    Order,
    Timer,
    mail_message,
    order_message,
    parse_mail,
    parse_order,
    timer_body,
)
from workflow_runtime.services.upkeep.dead_letters import OWNER
from workflow_runtime.storage.dead_letters import LetterStore
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.payloads import get_payload
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.runs import RunStore

START = 1_700_000_000_000
SECRET = "payload-秘密"
SOURCE = b"workflow: {id: w, nodes: [{id: a, type: tool, tool: echo, inputs: {x: 1}}]}"


class Morgue:
    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.backend: Backend = open_backend(None, self.clock)
        self.ports = self.backend.ports
        self.services = Runtime(self.ports, dict, secrets=EnvironmentSecrets({}))
        self.runs = RunStore(self.ports.table, self.ports.blobs)
        self.store = ExecutionStore(self.ports.table, self.ports.blobs)
        self.numbers = 0

    def start(self) -> tuple[str, str]:
        """An execution whose order is on its way; its id and that order."""
        self.services.catalog.publish(SOURCE)
        execution_id = self.services.starter.start("w")
        self.take_mail()
        (order,) = self.taken(node_queue("tool"))
        return execution_id, order

    def take_mail(self) -> None:
        from workflow_runtime.services.dispatch.dispatcher import Delivery

        for body in self.taken(DISPATCH):
            mail = parse_mail(body)
            assert self.services.dispatcher.dispatch(mail.execution_id, [Delivery(mail.event)]) == 1

    def taken(self, queue: str) -> list[str]:
        records = self.backend.poller.receive(queue, 10)
        self.backend.poller.delete(queue, [record.receipt_handle for record in records])
        return [str(record.event_record["body"]) for record in records]

    def die(self, body: str, queue: str = "node-tool", message_id: str | None = None) -> str:
        """A dead letter comes."""
        self.numbers += 1
        message_id = message_id or f"message-{self.numbers}"
        attributes = {"DeadLetterQueueSourceArn": f"arn:aws:sqs:local:000000000000:{queue}"}
        self.services.dead_letters.take({"body": body, "messageId": message_id, "attributes": attributes})
        return message_id

    def reasons(self, execution_id: str) -> list[Any]:
        letters: Any = LetterStore(self.ports.table, self.ports.blobs).documents(execution_id)
        return [letter["reason"] for letter in letters]

    def unaddressed(self) -> list[Any]:
        return [get_payload(self.ports.blobs, item.attributes["letter"]) for item in self.ports.table.query("DEAD")]


@pytest.fixture
def morgue() -> Iterator[Morgue]:
    opened = Morgue()
    yield opened
    opened.backend.close()


def test_a_dead_order_fails_its_attempt_and_the_engine_grants_another(morgue: Morgue) -> None:
    execution_id, order = morgue.start()
    morgue.die(order)
    run = morgue.runs.get(execution_id, "a", 1)
    assert run is not None
    assert run.error is not None
    assert (run.status, run.owner, run.error.type) == ("failed", OWNER, "worker_lost")
    assert morgue.reasons(execution_id) == ["order: given up by its queue node-tool"]
    morgue.take_mail()
    (again,) = morgue.taken(node_queue("tool"))
    assert (parse_order(again).command.serial, parse_order(again).command.attempt) == (2, 2)


def test_a_node_whose_orders_always_die_fails_its_execution(morgue: Morgue) -> None:
    execution_id, order = morgue.start()
    for _ in range(3):
        morgue.die(order)
        morgue.take_mail()
        order = (morgue.taken(node_queue("tool")) or [""])[0]
    assert order == ""
    assert morgue.services.documents.status(execution_id) == "failed"


def test_a_dead_order_whose_run_has_a_living_worker_waits_for_it(morgue: Morgue) -> None:
    execution_id, order = morgue.start()
    owner = f"{morgue.ports.boot}/worker"
    claimed = Run(
        path="a", serial=1, status=RunStatus.RUNNING, owner=owner, started_at=START, lease_until=START + 90_000
    )
    assert morgue.runs.claim(execution_id, claimed)
    with pytest.raises(RetryableError, match="living worker"):
        morgue.die(order)
    assert morgue.reasons(execution_id) == []
    morgue.clock.advance_to(START + 90_001)
    morgue.die(order)
    run = morgue.runs.get(execution_id, "a", 1)
    assert run is not None
    assert (run.status, run.owner) == ("failed", OWNER)


@pytest.mark.parametrize("status", [RunStatus.RELEASED, RunStatus.RUNNING])
def test_a_dead_order_whose_run_nobody_holds_any_more_is_closed(morgue: Morgue, status: RunStatus) -> None:
    execution_id, order = morgue.start()
    claimed = Run(path="a", serial=1, status=status, owner="earlier-boot/x", started_at=START, lease_until=START + 1000)
    assert morgue.runs.claim(execution_id, claimed)
    morgue.die(order)
    run = morgue.runs.get(execution_id, "a", 1)
    assert run is not None
    assert run.status == "failed"


def test_a_recorded_result_survives_the_death_of_its_order(morgue: Morgue) -> None:
    execution_id, order = morgue.start()
    done = Run(
        path="a", serial=1, status=RunStatus.SUCCESS, owner="w", started_at=START, ended_at=START, output={"x": 1}
    )
    assert morgue.runs.claim(execution_id, done)
    morgue.die(order)
    run = morgue.runs.get(execution_id, "a", 1)
    assert run is not None
    assert (run.status, run.output) == ("success", {"x": 1})
    assert len(morgue.reasons(execution_id)) == 1


def test_the_same_dead_letter_twice_is_one_record_and_one_failure(morgue: Morgue) -> None:
    execution_id, order = morgue.start()
    for _ in range(2):
        morgue.die(order, message_id="the same")
    assert len(morgue.reasons(execution_id)) == 1
    morgue.take_mail()
    assert len(morgue.taken(node_queue("tool"))) == 1, "one more attempt, not two"


def test_a_dead_order_of_an_execution_that_ended_or_never_was_is_only_recorded(morgue: Morgue) -> None:
    body = order_message(Order("ex-unknown", "0" * 40, 1, START, RunNode("a", 1, "tool", START))).body
    morgue.die(body)
    assert morgue.reasons("ex-unknown") == ["order: given up by its queue node-tool"]
    assert morgue.runs.get("ex-unknown", "a", 1) is None
    assert morgue.taken(DISPATCH) == []


def test_a_dead_timer_is_started_again_once(morgue: Morgue) -> None:
    body = timer_body(Timer("ex-1", "延迟#1", START))
    morgue.die(body, TIMERS)
    assert morgue.taken(TIMERS) == [body]
    morgue.die(body, TIMERS)
    assert morgue.taken(TIMERS) == []
    assert sorted(morgue.reasons("ex-1")) == [
        "timer: given up by its queue timers",
        "timer: given up by its queue timers",
        "timer: started again",
    ]


def test_dead_mail_and_dead_bus_events_are_recorded_with_the_execution_they_name(morgue: Morgue) -> None:
    morgue.die(mail_message("ex-1", Poked("poke:1", START), "i").body, DISPATCH)
    morgue.die('{"detail-type": "order.paid", "detail": {"execution_id": "ex-2", "金额": 5}}', "events")
    assert morgue.reasons("ex-1") == ["mail: given up by its queue dispatch.fifo"]
    assert morgue.reasons("ex-2") == ["unknown: given up by its queue events"]


@pytest.mark.parametrize(
    "body", ["{", "[]", "文", '"x"', '{"detail": 1}', '{"detail": {"execution_id": 7}}', "x" * 500_000]
)
def test_a_dead_letter_that_names_no_execution_is_recorded_too(morgue: Morgue, body: str) -> None:
    morgue.die(body, "events")
    (letter,) = morgue.unaddressed()
    assert letter == {"reason": "unknown: given up by its queue events", "body": body}


def test_the_log_tells_of_a_dead_letter_and_keeps_its_payload(morgue: Morgue, caplog: pytest.LogCaptureFixture) -> None:
    morgue.die(f'{{"detail": {{"execution_id": "ex-1", "text": "{SECRET}"}}}}', "events", "m-1")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["execution_id"] == "ex-1"
    assert record.__dict__["message_id"] == "m-1"
    assert SECRET not in str(record.__dict__)


def test_a_message_of_a_newer_version_is_recorded_and_taken_for_nothing_else(morgue: Morgue) -> None:
    """Least of all for an express execution that was given up, of which little more is said than the id."""
    execution_id, _ = morgue.start()
    morgue.die(f'{{"execution_id": "{execution_id}", "event": {{"event": "from_the_future"}}}}', queue=DISPATCH)
    assert morgue.reasons(execution_id) == [f"unknown: given up by its queue {DISPATCH}"]
    assert morgue.taken(DISPATCH) == []
