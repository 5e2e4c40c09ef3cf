"""What becomes of executions that are failed from outside their plans, as one that has become too large is: nothing of
them is left waiting, nobody is left asked, and what they have done is undone all the same."""

from __future__ import annotations

from typing import Any

from tests.unit.engine.driver import START, Driver, control, plan_of

from workflow_runtime.engine.advance import Decision, abort, advance
from workflow_runtime.engine.commands import (
    CancelTimer,
    CloseTask,
    Continue,
    ControlChild,
    NotifyParent,
    RunNode,
    SetStatus,
    StartChild,
    UpdateApproval,
)
from workflow_runtime.engine.events import CancelRequested, NodeYielded, Poked, ReopenRequested
from workflow_runtime.engine.state import Parent
from workflow_runtime.engine.turn import COMMANDS_MAX, Known, Needs, Visit
from workflow_runtime.errors import ErrorDocument

TOO_LARGE = ErrorDocument.of("state_too_large", "too large")
UNDO = {"tool": "u"}


def aborted(driver: Driver) -> Decision:
    """The execution fails; what was ordered is carried out."""
    decision = abort(driver.plan, driver.state, TOO_LARGE)
    driver.state = decision.state
    return decision


def undoing(compensate: dict[str, Any], parent: Parent | None = None) -> Driver:
    """An execution that undoes its first node in this way, as the second has failed."""
    nodes = [{"id": "a", "compensate": compensate}, {"id": "b", "dependencies": ["a"]}]
    driver = Driver(plan_of(nodes), parent=parent).start()
    driver.succeed("a", {"v": 1})
    driver.fail("b")
    assert driver.status == "compensating"
    return driver


def assert_nothing_is_left(driver: Driver) -> None:
    state = driver.state
    assert state.status.terminal
    assert (dict(state.pending), bool(state.alarms), state.in_flight) == ({}, False, 0)


def test_people_and_systems_are_asked_no_longer() -> None:
    nodes = [control("ask", "approval", assignees=["ann"]), {"id": "call", "callback": {"timeout": "1h"}}]
    driver = Driver(plan_of(nodes)).start()
    driver.take(NodeYielded("run:call#1", START, "call", 1, "token", 3_600_000))
    decision = aborted(driver)
    assert_nothing_is_left(driver)
    assert [c.outcome for c in decision.commands if isinstance(c, UpdateApproval)] == ["cancelled"]
    assert [c.task for c in decision.commands if isinstance(c, CloseTask)] == ["token"]


def test_a_compensation_that_another_execution_carries_out_is_cancelled() -> None:
    driver = undoing({"workflow_id": "undo_it"})
    decision = aborted(driver)
    assert_nothing_is_left(driver)
    assert [c.operation for c in decision.commands if isinstance(c, ControlChild)] == ["cancel"]
    assert [c.compensation for c in decision.commands if isinstance(c, SetStatus)] == ["failed"]


def test_a_compensation_that_waits_for_its_next_attempt_has_none() -> None:
    driver = undoing({**UNDO, "retry_policy": {"max_retries": 1, "retry_delay": 60}})
    driver.fail("a~compensate")
    assert len(driver.state.pending) == 1
    aborted(driver)
    assert_nothing_is_left(driver)


def test_runs_that_were_told_to_stop_are_awaited_no_longer() -> None:
    driver = Driver(plan_of([{"id": "a", "compensate": UNDO}])).start()
    driver.take(CancelRequested("control:c", START))
    assert driver.state.stopping
    decision = aborted(driver)
    assert_nothing_is_left(driver)
    assert [type(command) for command in decision.commands[:2]] == [CancelTimer, SetStatus]


PARENT = Parent("p", "before", notify=True)
GO_ON = ReopenRequested("control:g", START, "after")


def test_a_parent_that_wants_it_to_go_on_is_told_that_it_has_ended() -> None:
    driver = undoing(UNDO, PARENT)
    driver.take(GO_ON)
    assert driver.state.goes_on
    decision = aborted(driver)
    assert [c for c in decision.commands if isinstance(c, NotifyParent)] == [NotifyParent("p", "after")]


def test_what_was_aborted_does_not_go_on_once_it_is_undone() -> None:
    nodes = [{"id": "a", "compensate": UNDO}, {"id": "b", "dependencies": ["a"]}]
    driver = Driver(plan_of(nodes), parent=PARENT).start()
    driver.succeed("a")
    for command in aborted(driver).commands:
        driver.carry_out(command)
    assert driver.status == "compensating"
    driver.take(GO_ON)
    driver.succeed("a~compensate")
    assert driver.status == "failed"
    assert driver.commands(NotifyParent) == [NotifyParent("p", "after")]


def test_an_execution_that_is_aborted_in_the_middle_of_much_goes_on_to_undo() -> None:
    many = [{"id": f"n{number}"} for number in range(COMMANDS_MAX + 100)]
    driver = Driver(plan_of([{"id": "a", "compensate": UNDO}, *many])).start()
    driver.succeed("a")
    assert len(driver.ordered) == len(many)
    decision = aborted(driver)
    assert isinstance(decision.commands[-1], Continue)
    driver.take(Poked("cmd:e1", START))
    assert [command.path for command in driver.commits[-1] if isinstance(command, RunNode)] == ["a~compensate"]


def test_what_a_compensation_reads_is_asked_for_by_the_commit_after() -> None:
    output = {"v": 1}
    undo = {"workflow_id": "undo_it", "inputs": {"v": "${output.v}"}}
    driver = Driver(plan_of([{"id": "a", "compensate": undo}, {"id": "b"}])).start()
    driver.succeed("a", output)
    decision = aborted(driver)
    assert driver.status == "compensating"
    assert isinstance(decision.commands[-1], Continue)
    poke = [Poked("cmd:e1", START)]
    needs = advance(driver.plan, driver.state, poke, START)
    assert isinstance(needs, Needs)
    known = Known(visits={read: Visit({}, output) for read in needs.visits})
    goes_on = advance(driver.plan, driver.state, poke, START, known)
    assert isinstance(goes_on, Decision)
    assert [c.input for c in goes_on.commands if isinstance(c, StartChild)] == [output]
