"""A fallback that is under way when its execution ends: awaited like what it stands in for, and undone like it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, plan_of

from workflow_runtime.engine.commands import RecordNode, RunNode, SetStatus, StartChild
from workflow_runtime.engine.compensation import STOP_SECONDS
from workflow_runtime.engine.events import CancelRequested, ChildEnded, RetryRequested, RunStopped
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.state import encode_state
from workflow_runtime.errors import ErrorDocument

CANCEL = CancelRequested("control:1", START, "ann", "no longer wanted")
UNDO = {"tool": "undo", "inputs": {"of": "${output.id}", "for": "${inputs.who}", "why": "${error.type}"}}


def falling_back(fallback: Any = None, *others: dict[str, Any], **fields: Any) -> Driver:
    """A booking that has failed, with its fallback under way, beside a payment."""
    booking = {"id": "book", "inputs": {"who": "${who}"}, "compensate": UNDO, "fallback": fallback or {"tool": "u"}}
    driver = Driver(plan_of([booking, {"id": "pay"}, *others], **fields), {"who": "ann"}).start()
    driver.fail("book", "full")
    return driver


def compensated(driver: Driver) -> str:
    ends: list[SetStatus] = driver.commands(SetStatus)
    return ends[-1].compensation


def undone(driver: Driver) -> list[str]:
    return [order.undoes.path(driver.plan) for order in driver.commands(RunNode) if order.undoes]


def records(driver: Driver, path: str) -> list[RecordNode]:
    return [record for record in driver.commands(RecordNode) if record.path == path]


@pytest.mark.parametrize("occasion", ["failure", "cancel", "timeout"])
def test_it_is_told_and_awaited_and_what_it_did_is_undone_with_the_nodes_own_inputs(occasion: str) -> None:
    driver = falling_back(timeout="1h")
    if occasion == "failure":
        driver.fail("pay")
    elif occasion == "cancel":
        driver.take(CANCEL)
    else:
        driver.elapse(3601)
    why = {"failure": "execution_error", "cancel": "cancelled"}.get(occasion, occasion)
    assert (driver.status, driver.told) == ("compensating", ["book~fallback"])
    assert "book" not in driver.cancelled
    driver.succeed("book~fallback", {"id": 7})
    assert driver.inputs("book~compensate") == {"of": 7, "for": "ann", "why": why}
    (record,) = records(driver, "book")
    assert (record.fallback_used, record.serial, record.error) == (True, 2, None)
    driver.play()
    assert compensated(driver) == "completed"
    assert [Mark(fate.mark).name for fate in driver.state.fates.values()] == ["SUCCESS"]
    assert not driver.state.originals
    assert driver.state.in_flight == 0
    assert driver.replayed() == driver.state


def test_if_it_fails_the_node_is_cancelled_and_nothing_is_undone() -> None:
    driver = falling_back()
    driver.fail("pay")
    driver.fail("book~fallback")
    assert (driver.status, driver.error) == ("failed", ("execution_error", "pay"))
    assert driver.cancelled == ["book"]
    assert not undone(driver)
    assert driver.replayed() == driver.state


def test_if_it_never_began_it_is_not_awaited_longer() -> None:
    driver = falling_back()
    driver.fail("pay")
    driver.take(RunStopped("stop:book~fallback#1", driver.now, "book~fallback", 1))
    assert (driver.status, driver.cancelled) == ("failed", ["book"])


def test_it_is_awaited_for_two_minutes_at_most() -> None:
    driver = falling_back()
    driver.fail("pay")
    late = driver.success("book~fallback", {"id": 7})
    driver.elapse(STOP_SECONDS + 1)
    assert driver.status == "failed"
    assert sorted(driver.cancelled) == ["book", "book~fallback"]
    assert driver.take(late).ignored
    assert not undone(driver)


def test_where_this_end_undoes_nothing_both_are_cancelled_at_once() -> None:
    driver = falling_back(compensation={"on": ["failure"]})
    driver.take(CANCEL)
    assert (driver.status, driver.told) == ("cancelled", [])
    assert sorted(driver.cancelled) == ["book", "book~fallback", "pay"]


def test_one_with_a_compensation_of_its_own_is_undone_by_that() -> None:
    spare = {"id": "spare", "compensate": {"tool": "undo_spare", "inputs": {"of": "${output.id}"}}}
    driver = falling_back("spare", spare)
    driver.fail("pay")
    assert driver.told == ["spare"]
    driver.succeed("spare", {"id": 8})
    assert driver.inputs("spare~compensate") == {"of": 8}
    driver.play()
    assert undone(driver) == ["spare"]


def test_in_a_row_of_fallbacks_the_last_is_undone_by_the_first_that_says_how() -> None:
    driver = falling_back("spare", {"id": "spare", "fallback": "last"}, {"id": "last"})
    driver.fail("spare")
    driver.fail("pay")
    assert driver.told == ["last"]
    driver.succeed("last", {"id": 9})
    assert driver.inputs("book~compensate")["of"] == 9  # type: ignore[index,call-overload]
    driver.play()
    assert undone(driver) == ["book"]
    assert compensated(driver) == "completed"


def test_what_the_last_of_a_row_undoes_itself_is_undone_once() -> None:
    driver = falling_back("spare", {"id": "spare", "fallback": "last"}, {"id": "last", "compensate": {"tool": "x"}})
    driver.fail("spare")
    driver.succeed("last", {"id": 9})
    driver.fail("pay")
    driver.play()
    assert undone(driver) == ["last"]


def test_a_node_without_a_worker_may_have_such_a_fallback() -> None:
    child = {"id": "c", "type": "sub_workflow", "workflow_id": "other", "inputs": {"who": "${who}"}}
    nodes = [{**child, "compensate": UNDO, "fallback": {"tool": "u"}}, {"id": "pay"}]
    driver = Driver(plan_of(nodes), {"who": "ann"}).start()
    (started,) = driver.commands(StartChild)
    error = ErrorDocument.of("full", "no room")
    driver.take(ChildEnded("child:1", driver.now, started.token, "x1", "failed", error=error))
    driver.fail("pay")
    assert driver.told == ["c~fallback"]
    driver.succeed("c~fallback", {"id": 1})
    assert driver.inputs("c~compensate") == {"of": 1, "for": "ann", "why": "execution_error"}
    driver.play()
    assert compensated(driver) == "completed"


def test_inputs_outlive_a_first_fallback_that_failed() -> None:
    handlers = [{"node_pattern": "book", "action": {"type": "fallback", "target": "spare"}}]
    driver = falling_back(None, {"id": "spare"}, error_handlers=handlers)
    driver.fail("book~fallback")
    driver.succeed("spare", {"id": 3})
    driver.fail("pay")
    assert driver.inputs("book~compensate")["for"] == "ann"  # type: ignore[index,call-overload]


def test_one_that_waits_for_its_next_attempt_is_dropped() -> None:
    spare = {"id": "spare", "retry_policy": {"max_retries": 1, "retry_delay": "10s", "jitter": "none"}}
    driver = falling_back("spare", spare)
    driver.fail("spare")
    driver.fail("pay")
    driver.play()
    assert driver.status == "failed"
    assert not undone(driver)


def test_a_retry_runs_the_node_again_and_what_it_does_then_is_undone_in_its_turn() -> None:
    driver = falling_back()
    driver.fail("pay")
    driver.succeed("book~fallback", {"id": 7})
    driver.play()
    driver.take(RetryRequested("control:r", driver.now))
    driver.succeed("book", {"id": 10})
    driver.fail("pay")
    assert driver.inputs("book~compensate")["of"] == 10  # type: ignore[index,call-overload]
    driver.play()
    assert undone(driver) == ["book", "book"]
    assert driver.replayed() == driver.state


def test_runs_of_nodes_that_nobody_can_undo_are_cancelled_though_they_are_fallbacks() -> None:
    nodes = [{"id": "a", "fallback": {"tool": "u"}}, {"id": "b", "compensate": {"tool": "x"}}, {"id": "pay"}]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("b")
    driver.fail("a")
    driver.fail("pay")
    assert sorted(driver.cancelled) == ["a", "a~fallback"]
    assert driver.told == []
    assert b"originals" not in encode_state(driver.state)
