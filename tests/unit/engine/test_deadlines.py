"""An execution that takes longer than its workflow's `timeout` fails, whatever goes on in it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, chart_of, control, on, plan_of, state

from workflow_runtime.engine.commands import SetStatus
from workflow_runtime.engine.events import CancelRequested, ExecutionStarted, TimerFired
from workflow_runtime.engine.preview import preview
from workflow_runtime.plan.plan import Plan

DEADLINE = START + 60_000


def chart() -> Plan:
    states = [state("s", on("go", "over"), run=[{"id": "a", "type": "tool", "tool": "t"}]), state("over")]
    return chart_of(states, timeout="60s", final_states=["over"])


@pytest.mark.parametrize(
    "plan",
    [
        plan_of([{"id": "a"}, {"id": "b", "dependencies": ["a"], "join": "all_done"}], timeout="60s"),
        plan_of([control("w", "wait", event="go", timeout="2h", on_timeout="continue")], timeout=60),
        plan_of([{"id": "a"}, control("w", "wait", duration="1d")], timeout="PT1M"),
        chart(),
    ],
    ids=["work", "event", "time", "chart"],
)
def test_whatever_goes_on_ends_at_the_deadline(plan: Plan) -> None:
    driver = Driver(plan).start()
    driver.elapse((DEADLINE - driver.now) / 1000 - 1)
    assert driver.status == "running"
    driver.elapse(1)
    assert driver.status == "failed"
    assert driver.error == ("timeout", "")
    assert driver.state.ended_at == DEADLINE
    assert not driver.timers
    assert not driver.state.pending
    assert {"running", "ready", "waiting"}.isdisjoint(driver.nodes.values())
    assert driver.replayed() == driver.state


def test_an_execution_that_ends_in_time_leaves_no_timer() -> None:
    driver = Driver(plan_of([{"id": "a"}], timeout="60s")).play()
    assert driver.status == "completed"
    assert not driver.timers
    decision = driver.fire("t1", DEADLINE)
    assert not decision.changed
    assert driver.status == "completed"


def test_the_time_counts_from_the_start_however_late_the_first_event_is_taken() -> None:
    driver = Driver(plan_of([{"id": "a"}], timeout="60s"))
    driver.take(ExecutionStarted("start", START), at=START + 50_000)
    assert driver.timers == {"t1": DEADLINE}


def test_without_a_timeout_there_is_no_timer() -> None:
    assert Driver(plan_of([{"id": "a"}])).start().timers == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_deadline_error_and_cancellation_in_one_batch_make_one_end(order: tuple[int, ...]) -> None:
    driver = Driver(plan_of([{"id": "a"}], timeout="60s")).start()
    cancelled = CancelRequested("control:k", DEADLINE)
    events: list[Any] = [driver.failure("a"), TimerFired("timer:t1", DEADLINE, "t1"), cancelled]
    decision = driver.take(*(events[number] for number in order), at=DEADLINE)
    assert sum(isinstance(command, SetStatus) for command in decision.commands) == 1
    assert driver.status == ("cancelled" if order[0] == 2 else "failed")
    assert len(decision.ignored) == 2


def test_people_see_the_deadline() -> None:
    driver = Driver(plan_of([control("w", "wait", event="go")], timeout="60s")).start()
    [timer] = preview(driver.plan, driver.state, driver.now).timers
    assert (timer.kind, timer.due, timer.source) == ("deadline", DEADLINE, "")
