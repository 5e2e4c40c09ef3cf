"""Promises about events: totality, repeats, lateness, replay, and what a turn keeps (promises P2, P5, P9)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import START, Driver, control, plan_of

from workflow_runtime.engine.advance import Decision, abort, advance
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import (
    CompensateRequested,
    Event,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    Poked,
    ReopenRequested,
    RetryRequested,
    SkipRequested,
)
from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, RESULT_ROWS, ExecutionStatus, Mark
from workflow_runtime.engine.replay import ReplayMismatch, replay
from workflow_runtime.errors import ErrorDocument, InvalidEvent

ERROR = ErrorDocument("x", "y", "a")
COMMAND = RunNode("a", 1, "tool", START)
EVENTS: list[Event] = [
    ExecutionStarted("start", START),
    NodeSucceeded("run:a#1", START, "a", 1),
    NodeFailed("run:a#1", START, "a", 1, ERROR, COMMAND),
    Poked("poke", START),
]
TWO = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}]


@pytest.mark.parametrize(("status", "event"), [*itertools.product(ExecutionStatus, EVENTS)])
def test_every_event_in_every_status_has_a_row_or_is_refused(status: ExecutionStatus, event: Event) -> None:
    plan = plan_of(TWO)
    driver = Driver(plan)
    if status is not ExecutionStatus.PENDING:
        driver.start()
    state = replace(driver.state, status=status)
    row = EXECUTION_ROWS.get((status, type(event)))
    if row is None:
        with pytest.raises(InvalidEvent):
            advance(plan, state, [event], START)
        return
    decision = advance(plan, state, [event], START)
    assert isinstance(decision, Decision)
    assert bool(decision.ignored) == (row.status is None)
    if status.terminal:
        assert not decision.changed
        assert not decision.commands


@pytest.mark.parametrize("status", [status for status in ExecutionStatus if status.terminal])
def test_only_what_people_ask_for_leads_out_of_a_terminal_status(status: ExecutionStatus) -> None:
    asked = (RetryRequested, SkipRequested, CompensateRequested, ReopenRequested)
    rows = [row for (start, event), row in EXECUTION_ROWS.items() if start is status and event not in asked]
    assert rows
    assert all(row.status is None and row.reason for row in rows)


def test_a_node_that_ended_ignores_every_result() -> None:
    assert all(RESULT_ROWS[mark] for mark in (Mark.SUCCESS, Mark.FAILED, Mark.CANCELLED))


@pytest.mark.parametrize(("path", "serial"), [("nobody", 1), ("a", 2), ("b", 1), ("~outputs", 1)])
def test_results_of_runs_that_were_never_ordered_are_refused(path: str, serial: int) -> None:
    driver = Driver(plan_of(TWO)).start()
    for event in (NodeSucceeded("x", START, path, serial), NodeFailed("x", START, path, serial, ERROR, COMMAND)):
        with pytest.raises(InvalidEvent):
            driver.take(event)


def test_a_ready_node_that_was_not_ordered_has_no_result() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}], limits={"max_concurrency": 1})).start()
    assert driver.nodes["b"] == "ready"
    with pytest.raises(InvalidEvent):
        driver.take(NodeSucceeded("x", START, "b", 1))


def test_an_invalid_event_takes_none_of_its_batch() -> None:
    driver = Driver(plan_of(TWO)).start()
    with pytest.raises(InvalidEvent):
        driver.take(driver.success("a"), NodeSucceeded("x", START, "nobody", 1))
    assert driver.nodes["a"] == "ready"


def test_repeats_and_late_results_are_ignored_with_a_reason() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}, {"id": "f", "join": "all_done", "dependencies": ["a"]}])).start()
    late = driver.ordered["b"]
    first = driver.success("a")
    driver.take(first, first)
    assert not driver.take(first).changed
    driver.fail("b")
    assert not driver.take(NodeSucceeded("late", START, late.path, late.serial)).changed
    assert len(driver.ignored) == 3
    assert all(reason for _, reason in driver.ignored)


def test_results_of_superseded_runs_are_ignored() -> None:
    driver = Driver(plan_of(TWO)).start()
    lost = driver.failure("a", "worker_lost")
    driver.take(lost)
    assert "superseded" in driver.take(lost, NodeSucceeded("x", START, "a", 1)).ignored[0][1]
    assert driver.ordered["a"].serial == 2


def test_a_poke_without_news_changes_nothing() -> None:
    driver = Driver(plan_of(TWO)).start()
    assert not driver.take(Poked("p", START)).changed


def test_time_never_goes_back() -> None:
    plan = plan_of(TWO)
    driver = Driver(plan).start()
    decision = advance(plan, driver.state, [driver.success("a")], START - 5_000)
    assert isinstance(decision, Decision)
    assert decision.state.now == driver.state.now


def busy() -> list[dict[str, Any]]:
    return [
        {"id": "a"},
        {"id": "b", "dependencies": ["a"], "when": "${len(a.text)} > 3 and ${go}"},
        control("s", "switch", condition="${a.text}", branches=[{"default": "c"}, {"case": "x", "target": "d"}]),
        {"id": "c", "join": "any", "dependencies": ["b"]},
        {"id": "d"},
        {"id": "e", "dependencies": ["c", "d"], "when": "${a.text} != ${c.text}"},
    ]


@pytest.mark.parametrize("size", [1, 200, 1_000, 9_000])
@pytest.mark.parametrize("attach", [True, False])
def test_the_journal_replays_to_the_same_state_whatever_travelled_with_results(size: int, attach: bool) -> None:
    driver = Driver(plan_of(busy()), {"go": True, "more": "y" * 600}, attach=attach)
    driver.play({"a": {"text": "x" * size}, "c": {"text": "z" * size}})
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_replay_refuses_a_journal_that_says_otherwise() -> None:
    driver = Driver(plan_of(TWO)).play()
    other = plan_of([{"id": "a"}, {"id": "b"}])
    with pytest.raises(ReplayMismatch):
        replay(other, driver.first, driver.journal, lambda _: pytest.fail("nothing to read"))


def test_values_that_travel_save_reading_and_small_ones_are_kept() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "v", "dependencies": ["a", "b"], "when": "${a.n} == 1"}]
    driver = Driver(plan_of(nodes), checked=False).start()
    driver.succeed("a", {"n": 1, "large": "x" * 5_000})
    assert driver.state.graph().values == {0: {"n": 1}}
    driver.succeed("b")
    assert driver.reads == 0


def test_lifecycle_events_are_those_asked_for() -> None:
    types = [event.detail_type for event in Driver(plan_of(TWO)).play().published]
    assert types == ["execution.started", "execution.completed"]
    types = [event.detail_type for event in Driver(plan_of(TWO, events=["node"])).play().published]
    assert types == ["node.started", "node.succeeded", "node.started", "node.succeeded"]
    failing = Driver(plan_of([control("f", "fail", error="x")])).play()
    assert failing.published[-1].detail["error"] == {"type": "x", "message": "", "node": "f"}


def test_an_aborted_execution_has_ended_and_takes_nothing_more() -> None:
    plan = plan_of(TWO)
    driver = Driver(plan).start()
    decision = abort(plan, driver.state, ErrorDocument("state_too_large", "x"))
    assert decision.state.status is ExecutionStatus.FAILED
    late = advance(plan, decision.state, [driver.success("a")], START)
    assert isinstance(late, Decision)
    assert not late.changed
