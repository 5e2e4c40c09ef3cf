"""What the engine makes of nodes that wait for their task token."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import START, Driver, loop, plan_of

from workflow_runtime.engine.commands import CloseTask, RunNode
from workflow_runtime.engine.events import (
    CancelRequested,
    Event,
    NodeYielded,
    SkipRequested,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from workflow_runtime.engine.waiting import Cause, open_nodes
from workflow_runtime.errors import ErrorDocument

HOUR = 3_600_000


def begun(**fields: Any) -> Driver:
    """An execution whose node `ask` has been ordered; `then` follows it."""
    node = {"id": "ask", "callback": {"timeout": "2h"}, **fields}
    return Driver(plan_of([node, {"id": "then", "inputs": {"x": "${ask.x}"}}])).start()


def waiting(heartbeat: int = 0, **fields: Any) -> Driver:
    driver = begun(**fields)
    driver.take(returned(1, heartbeat))
    return driver


def begun_again(driver: Driver, event: Event) -> None:
    """A second attempt is ordered after this event."""
    driver.ordered.pop("ask")
    driver.take(event)
    driver.elapse(60)


def returned(serial: int, heartbeat: int = 0) -> NodeYielded:
    return NodeYielded(f"run:ask#{serial}", START, "ask", serial, f"h{serial}", 2 * HOUR, heartbeat)


def completed(serial: int = 1, *, lost: bool = False) -> TaskCompleted:
    return TaskCompleted(f"task:h{serial}", START, "ask", serial, f"h{serial}", {"x": serial}, lost=lost)


def failed(serial: int = 1) -> TaskFailed:
    return TaskFailed(f"task:h{serial}", START, "ask", serial, f"h{serial}", ErrorDocument.of("busy", "no", "ask"))


def reason(driver: Driver, event: Event) -> str:
    """Why an event has no effect."""
    driver.take(event)
    id, why = driver.ignored[-1]
    assert id == event.event_id
    return why


def test_it_waits_and_goes_on_with_what_it_is_given() -> None:
    driver = waiting()
    causes = {node.path: node.cause for node in open_nodes(driver.plan, driver.state)}
    assert causes["ask"] is Cause.CALLBACK
    driver.take(completed())
    assert driver.nodes["ask"] == "success"
    assert driver.inputs("then") == {"x": 1}
    assert driver.state.pending == {}
    assert driver.replayed() == driver.state


def test_what_is_completed_while_the_code_runs_ends_the_node() -> None:
    driver = begun()
    driver.take(completed())
    assert driver.nodes["ask"] == "success"
    driver.ordered.pop("ask")
    assert driver.state.in_flight == 1
    assert reason(driver, returned(1)) == "the run's result is known already"
    driver.succeed("then", {})
    assert driver.status == "completed"


def test_it_counts_once() -> None:
    driver = waiting()
    driver.take(completed())
    assert reason(driver, completed())


def test_a_failure_and_its_time_end_the_attempt() -> None:
    driver = waiting(retry_policy=[{"errors": ["busy"], "max_retries": 1, "retry_delay": 1}])
    begun_again(driver, failed())
    assert [order.serial for order in driver.commands(RunNode) if order.path == "ask"] == [1, 2]
    assert reason(driver, completed(1)) == "this event was taken already"
    late = replace(completed(1), event_id="task:other")
    assert "run 2 has taken its place" in reason(driver, late)
    driver.take(returned(2))
    driver.elapse(3 * 3600)
    assert driver.error == ("timeout", "ask")


@pytest.mark.parametrize("ordered", [False, True])
def test_the_token_of_a_lost_worker_counts_while_the_visit_is_open(ordered: bool) -> None:
    driver = begun(retry_policy=[{"errors": ["worker_lost"], "max_retries": 1, "retry_delay": 1}])
    driver.fail("ask", "worker_lost")
    if ordered:
        driver.elapse(60)
    driver.take(completed(1, lost=True))
    assert driver.nodes["ask"] == "success"
    driver.succeed("then", {})
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_what_runs_in_its_place_is_cancelled_once_the_token_of_a_lost_worker_is_completed() -> None:
    driver = begun(fallback={"tool": "other"})
    for _ in range(3):
        driver.fail("ask", "worker_lost")
    assert list(driver.ordered) == ["ask~fallback"]
    driver.take(completed(1, lost=True))
    assert driver.nodes["ask"] == "success"
    assert driver.cancelled == ["ask~fallback"]
    driver.succeed("then", {})
    assert driver.status == "completed"
    assert driver.state.in_flight == 0


def test_a_pass_that_begins_anew_asks_under_another_token() -> None:
    body = [{"id": "ask", "callback": {"timeout": "2h"}}, {"id": "b"}]
    retry = {"max_retries": 1, "retry_delay": 5, "jitter": "none"}
    driver = Driver(plan_of([loop("each", *body, times=2, max_concurrency=2, item_retry=retry)])).start()
    driver.ordered.pop("each[0]/ask")
    driver.take(NodeYielded("run:1", START, "each[0]/ask", 1, "h1", HOUR, 1_000))
    driver.fail("each[0]/b")
    assert [command.task for command in driver.commands(CloseTask)] == ["h1"]
    assert reason(driver, replace(completed(), path="each[0]/ask")) == "the node has ended"
    driver.elapse(10)
    assert driver.ordered["each[0]/ask"].serial == 2
    driver.take(CancelRequested("control:c", START))
    assert not driver.state.pending
    assert (driver.state.in_flight, driver.state.open_passes) == (0, 0)


def test_silence_fails_it_unless_a_sign_of_life_came() -> None:
    driver = waiting(HOUR)
    (beat,) = [id for id, entry in driver.state.pending.items() if entry.purpose == "heartbeat"]
    driver.now = START + HOUR
    driver.take(TimerFired(f"timer:{beat}", driver.now, beat, heard=START + HOUR // 2))
    assert driver.status == "running"
    (beat,) = [id for id, entry in driver.state.pending.items() if entry.purpose == "heartbeat"]
    assert driver.state.pending[beat].due == START + HOUR // 2 + HOUR
    driver.now = START + 2 * HOUR
    driver.take(TimerFired(f"timer:{beat}", driver.now, beat, heard=START + HOUR // 2))
    assert driver.error == ("timeout", "ask")


@pytest.mark.parametrize("event", [CancelRequested("control:c", START), SkipRequested("control:s", START, node="ask")])
def test_a_token_that_nobody_needs_is_closed(event: Event) -> None:
    driver = waiting()
    driver.take(event)
    assert [(command.task, command.reason) for command in driver.commands(CloseTask)] == [("h1", "the node has ended")]
