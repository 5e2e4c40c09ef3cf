"""The synthesized template, deployed for real: workflows are published, run, disturbed and recover.

What takes long begins first and is looked at last, by `test_recovery`; in between runs everything else.
"""

from __future__ import annotations

import time
from datetime import datetime

import httpx
import pytest
from tests.e2e import scenarios
from tests.e2e.emulator import eventually
from tests.e2e.scenarios import PATIENCE_SECONDS
from tests.e2e.system import System, shipped_input

from workflow_runtime.frontends.client.signing import SigV4


@pytest.mark.usefixtures("lost")
def test_the_api_takes_only_signed_requests(system: System) -> None:
    assert httpx.get(f"{system.url}/workflows", timeout=PATIENCE_SECONDS).status_code == 403


@pytest.mark.parametrize("workflow_id", ["customer_support", "parallel_research"])
def test_shipped_definitions_are_published_and_run(system: System, workflow_id: str) -> None:
    assert workflow_id in system.publish_shipped()
    document = system.run(workflow_id, shipped_input(workflow_id))
    assert document["status"] == "completed", document["error"]


def test_an_event_on_the_bus_starts_the_workflow_that_waits_for_such(system: System) -> None:
    scenarios.start_by_events(system)


def test_a_signed_webhook_starts_an_execution_once(system: System) -> None:
    scenarios.start_by_webhook(system)


def test_an_order_goes_through_its_states(system: System) -> None:
    scenarios.lead_an_order_through_its_states(system)


def test_an_alarm_starts_a_response_that_agents_and_people_bring_to_its_end(system: System) -> None:
    scenarios.respond_to_an_incident(system)


def test_time_ends_a_trial(system: System) -> None:
    scenarios.let_a_trial_pass(system)


def test_events_go_out_to_subscribers_of_the_bus(system: System) -> None:
    scenarios.publish_events(system, system.subscribe({"detail-type": ["execution.completed", "order.taken"]}))


def test_a_wait_ends_at_its_time_and_not_before(system: System) -> None:
    system.publish("paused")
    document = system.run("paused")
    assert document["status"] == "completed", document["error"]
    nodes = document["node_executions"]
    passed = _time(nodes["after"]["started_at"]) - _time(document["started_at"])
    assert passed >= 2


def test_events_that_a_broken_deployment_could_not_take_are_redriven_when_it_is_mended(system: System) -> None:
    system.publish("on_order")
    before = len(system.engine.list_executions("on_order"))
    with system.consumers_stopped("DeadLetter"):
        system.break_("IngestEvent")
        system.put_event("shop", "order.created", {"region": "eu", "id": "late"})
        assert eventually(lambda: system.depth("DeadLetters"), PATIENCE_SECONDS, "the event is a dead letter") == 1
        system.mend("IngestEvent")
        assert system.redrive("DeadLetters", "Events") == 1
    newest = system.executions("on_order", before + 1)[0]
    assert system.ended(str(newest["execution_id"]))["output"] == {"order": "late"}


def test_a_message_that_nobody_understands_ends_as_a_recorded_dead_letter(system: System) -> None:
    system.send("Timers", "no timer")
    letters = eventually(system.dead_letters, PATIENCE_SECONDS, "the dead letter is recorded")
    assert len(letters) >= 1
    eventually(lambda: system.depth("DeadLetters") == 0, PATIENCE_SECONDS, "the message is deleted once it is recorded")


def test_a_schedule_of_a_workflow_starts_executions_until_it_is_unpublished(system: System) -> None:
    """The emulator leaves `<aws.scheduler.scheduled-time>` in messages, so the test sends what Scheduler would."""
    before = {schedule["Name"] for schedule in system.schedules()}
    system.publish("on_schedule")
    (schedule,) = (each for each in system.schedules() if each["Name"] not in before)
    assert schedule["ScheduleExpression"].startswith("rate(1 minute")
    assert schedule["Target"]["Arn"] == system.queue_arn("Events")
    body = schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", "2026-01-01T00:00:00Z")
    for _ in range(2):
        system.send("Events", body)
    system.executions("on_schedule")
    time.sleep(scenarios.QUIET_SECONDS)
    assert len(system.engine.list_executions("on_schedule")) == 1
    answer = httpx.delete(f"{system.url}/workflows/on_schedule", auth=SigV4(), timeout=PATIENCE_SECONDS)
    assert answer.status_code in (200, 204), answer.text
    assert schedule["Name"] not in [each["Name"] for each in system.schedules()]


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
