"""What a request about an execution does in each of its statuses, and what is left of the execution."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import START, Driver, chart_of, control, on, plan_of, state

from workflow_runtime.engine.advance import Decision, advance
from workflow_runtime.engine.commands import CancelChild, CancelRun, ControlChild, NotifyParent, SetStatus
from workflow_runtime.engine.events import CancelRequested, ChildEnded, TimerFired
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.replay import replay
from workflow_runtime.engine.state import Parent
from workflow_runtime.engine.turn import COMMANDS_MAX, Known

CANCEL = CancelRequested("control:k", START, "李雷", "not needed")
TWO = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}]
WAITS = [{"id": "a"}, control("w", "wait", duration="1h"), control("e", "wait", event="go", timeout="2h")]

GOLDEN = {
    ("cancel", "pending"): "cancelled",
    ("cancel", "running"): "cancelled",
    ("cancel", "completed"): "ignored",
    ("cancel", "failed"): "ignored",
    ("cancel", "cancelled"): "ignored",
}


def in_status(status: str) -> Driver:
    driver = Driver(plan_of(TWO))
    if status != "pending":
        driver.start()
    if status == "completed":
        driver.play()
    elif status == "failed":
        driver.fail("a")
    elif status == "cancelled":
        driver.take(CANCEL)
    assert driver.status == status
    return driver


@pytest.mark.parametrize(("operation", "status"), GOLDEN)
def test_a_request_in_every_status_does_what_the_table_says(operation: str, status: str) -> None:
    driver = in_status(status)
    decision = driver.take(replace(CANCEL, event_id=f"control:{operation}"))
    expected = GOLDEN[operation, status]
    if expected == "ignored":
        assert not decision.changed
        assert decision.ignored[0][1]
        assert driver.status == status
    else:
        assert driver.status == expected
        assert decision.state.ended_at == driver.now


def test_a_cancelled_execution_has_no_error_and_says_so_on_the_bus() -> None:
    driver = Driver(plan_of(TWO, events=["execution"])).start()
    decision = driver.take(CANCEL)
    status = next(command for command in decision.commands if isinstance(command, SetStatus))
    assert (status.status, status.error, status.output) == ("cancelled", None, None)
    assert driver.error is None
    assert driver.published[-1].detail_type == "execution.cancelled"


def test_what_runs_is_told_and_what_waits_is_dropped() -> None:
    driver = Driver(plan_of([*WAITS, {"id": "later", "dependencies": ["w"]}])).start()
    driver.take(CANCEL)
    assert driver.nodes == {"a": "cancelled", "w": "cancelled", "e": "cancelled", "later": "skipped"}
    assert set(driver.cancelled) == {"a", "w", "e"}
    assert not driver.timers
    assert not driver.state.pending


def test_late_results_and_timers_are_ignored() -> None:
    driver = Driver(plan_of(WAITS)).start()
    late, timer = driver.success("a"), next(iter(driver.timers))
    driver.take(CANCEL)
    decision = driver.take(late, TimerFired(f"timer:{timer}", START, timer), CANCEL)
    assert not decision.changed
    assert len(decision.ignored) == 3
    assert driver.status == "cancelled"


@pytest.mark.parametrize("first", ["cancel", "failure", "success"])
def test_in_one_batch_with_an_end_the_first_decides_and_there_is_one_end(first: str) -> None:
    driver = Driver(plan_of([{"id": "a"}])).start()
    end = driver.success("a") if first == "success" else driver.failure("a")
    decision = driver.take(*((CANCEL, end) if first == "cancel" else (end, CANCEL)))
    assert driver.status == {"cancel": "cancelled", "failure": "failed", "success": "completed"}[first]
    assert sum(isinstance(command, SetStatus) for command in decision.commands) == 1


def test_more_running_nodes_than_a_commit_has_room_for_are_all_told() -> None:
    count = 2 * COMMANDS_MAX + 1
    driver = Driver(plan_of([{"id": f"n{number}"} for number in range(count)]), checked=False).start()
    assert len(driver.ordered) == count
    driver.take(CANCEL)
    told = [command.path for commit in driver.commits for command in commit if isinstance(command, CancelRun)]
    assert sorted(told) == sorted(driver.nodes)
    assert driver.status == "cancelled"
    assert not driver.state.withdrawn
    assert driver.replayed() == driver.state


def parent(**action: Any) -> Driver:
    start = {"start_workflow": {"workflow_id": "子", **action}}
    return Driver(chart_of([state("s", on("over", "done"), on_enter=[start]), state("done")], final_states=["done"]))


def test_children_that_are_awaited_are_told_and_nobody_waits_for_their_end() -> None:
    driver = parent(result_event="over").start()
    decision = driver.take(CANCEL)
    told = [command for command in decision.commands if isinstance(command, ControlChild)]
    assert told == [ControlChild("c1", "子", "cancel", "not needed")]
    ended = driver.take(ChildEnded("child:x", START, "c1", "x", "cancelled"))
    assert not ended.changed


def test_children_that_nobody_awaits_go_their_own_way() -> None:
    decision = parent().start().take(CANCEL)
    assert not any(isinstance(command, ControlChild) for command in decision.commands)


def test_children_that_have_ended_are_told_nothing() -> None:
    driver = parent(result_event="other").start()
    driver.take(ChildEnded("child:x", START, "c1", "x", "completed"))
    decision = driver.take(CANCEL)
    assert driver.status == "cancelled"
    assert not any(isinstance(command, ControlChild) for command in decision.commands)


def test_a_parent_that_waits_is_told_of_the_end() -> None:
    driver = Driver(plan_of(TWO), parent=Parent("p", "c1", notify=True)).start()
    assert NotifyParent("p", "c1") in driver.take(CANCEL).commands


def test_whoever_cancels_before_the_start_starts_nothing() -> None:
    driver = Driver(plan_of(TWO))
    decision = advance(driver.plan, driver.state, [CANCEL], START)
    assert isinstance(decision, Decision)
    assert decision.state.status is ExecutionStatus.CANCELLED
    assert [type(command).__name__ for command in decision.commands if not hasattr(command, "detail")] == ["SetStatus"]


def test_a_journal_in_which_an_older_deployment_cancelled_a_child_replays() -> None:
    driver = parent(result_event="over").start()
    before = driver.state
    decision = driver.take(CANCEL)
    now = tuple(
        CancelChild(command.token, command.workflow_id, command.reason)
        if isinstance(command, ControlChild)
        else command
        for command in decision.commands
    )
    stored = msgspec.json.encode(JournalEntry(decision.state.version, "c", driver.now, (CANCEL,), now))
    assert b'"cancel_child"' in stored
    entry = msgspec.json.decode(stored, type=JournalEntry)
    assert replay(driver.plan, before, [entry], lambda _: Known()) == decision.state
