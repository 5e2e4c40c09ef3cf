"""Scopes: their addresses, what a turn touches of them, and one block at work in two places."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.engine.driver import START, Driver, chart_of, on, plan_of, started, state

from workflow_runtime.engine.advance import Decision, advance
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import Read, RecordNode, RunNode
from workflow_runtime.engine.events import NodeSucceeded, SignalReceived
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.tables import Opened
from workflow_runtime.engine.turn import Known
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, Place
from workflow_runtime.plan.plan import Plan

MINUTE = 60


def review(**fields: Any) -> dict[str, Any]:
    """A node with a chart that runs a graph of two tools."""
    run = [{"id": "write", "type": "tool", "tool": "t"},
           {"id": "read", "type": "tool", "tool": "t", "inputs": {"x": "${write.n}"}}]  # fmt: skip
    draft = state("draft", on("done.run.draft", "done"), run=run)
    return {"id": "review", "type": "state_machine", "initial_state": "draft", "states": [draft], **fields}


def chart_node(id: str, *states: dict[str, Any]) -> dict[str, Any]:
    return {"id": id, "type": "state_machine", "initial_state": states[0]["name"], "states": list(states)}


def taken(plan: Plan, before: ExecutionState, *events: Any) -> Decision:
    known = Known()
    while not isinstance(decision := advance(plan, before, events, START, known), Decision):
        known = known.with_more(Known({read: NodeValue("success", {"n": 1}) for read in decision.reads}))
    return decision


def test_a_path_is_located_with_and_without_pass_numbers() -> None:
    plan = plan_of([review()])
    assert plan.locate("review") == Place(TOP_GRAPH, 0, 0)
    assert plan.locate("review/draft/write") == Place("review/draft", 1, 0)
    assert plan.locate("review[12]/draft/read") == Place("review[12]/draft", 1, 1)
    assert plan.locate("review/write") is None
    assert plan.locate("[1]") is None


def test_a_called_node_has_a_scope_of_its_own() -> None:
    driver = started(state("a", on_enter=[{"tool": "t"}], run=[{"id": "b", "type": "tool", "tool": "t"}]))
    assert set(driver.state.scopes) == {TOP_GRAPH, TOP_CHART, "a", "a/t"}
    assert driver.plan.locate("a/t") == Place("a/t", 2, 0)


def twice(driver: Driver) -> ExecutionState:
    """The state of an execution whose only chart is at work under two addresses."""
    both = driver.state.copy()
    for number in (0, 1):
        both.scopes[f"review[{number}]"] = both.scopes["review"]
        both.scopes[f"review[{number}]/draft"] = both.scopes["review/draft"]
    del both.scopes["review"], both.scopes["review/draft"]
    both.in_flight = 2
    return decode_state(encode_state(both))


def test_one_block_can_be_at_work_in_two_places() -> None:
    driver = Driver(plan_of([review()])).start()
    before = twice(driver)
    first = taken(driver.plan, before, NodeSucceeded("r", START, "review[1]/draft/write", 1))
    (order,) = first.commands
    assert isinstance(order, RunNode)
    assert (order.path, order.reads) == ("review[1]/draft/read", (Read(1, 1, "review[1]/draft/"),))
    assert order.reads[0].path(driver.plan) == "review[1]/draft/write"
    assert first.state.scopes["review[0]/draft"] == before.scopes["review[0]/draft"]
    second = taken(driver.plan, first.state, NodeSucceeded("r", START, "review[0]/draft/write", 1))
    assert [command.path for command in second.commands if isinstance(command, RunNode)] == ["review[0]/draft/read"]
    third = taken(driver.plan, second.state, NodeSucceeded("r", START, "review[1]/draft/read", 1))
    assert not [id for id in third.state.scopes if id.startswith("review[1]/")]
    assert [step.machine for step in third.macrosteps] == ["review[1]"]
    assert any(isinstance(command, RecordNode) for command in third.commands)


def test_what_an_event_does_not_touch_stays_as_it_was_stored() -> None:
    driver = Driver(plan_of([review(), {**review(), "id": "other"}])).start()
    stored = decode_state(encode_state(driver.state))
    after = taken(driver.plan, stored, NodeSucceeded("r", START, "review/draft/write", 1)).state
    untouched = {id for id, scope in after.scopes.items() if isinstance(scope, msgspec.Raw)}
    assert untouched == {TOP_GRAPH, "review", "other", "other/draft"}
    assert all(after.scopes[id] is stored.scopes[id] for id in untouched)
    assert all(isinstance(scope, msgspec.Raw) for scope in stored.scopes.values()), "advance changed its argument"


def test_an_event_that_no_chart_hears_touches_none_but_the_one_that_says_so() -> None:
    driver = Driver(plan_of([review(), {**review(), "id": "other"}])).start()
    stored = decode_state(encode_state(driver.state))
    decision = taken(driver.plan, stored, SignalReceived("signal:s", START, "unknown"))
    assert decision.ignored == (("signal:s", "no transition for `unknown` in draft"),)
    assert isinstance(decision.state.scopes["other"], msgspec.Raw)


def test_what_an_event_does_not_concern_of_all_that_is_waited_for_stays_as_it_was_stored() -> None:
    idle = [chart_node(f"m{number}", state("a", after={"delay": "1h", "target": "a"})) for number in range(100)]
    live = chart_node("live", state("a", after={"delay": "1m", "target": "b"}), state("b", on("go", "a")))
    driver = Driver(plan_of([*idle, live])).start()
    driver.elapse(MINUTE)
    stored = decode_state(encode_state(driver.state))
    after = taken(driver.plan, stored, SignalReceived("signal:s", START, "go")).state
    assert isinstance(after.pending, Opened)
    untouched = {id for id, entry in after.pending.entries.items() if isinstance(entry, msgspec.Raw)}
    assert untouched == set(stored.pending)
    assert len(after.pending) == len(stored.pending) + 1


def test_timers_that_older_code_has_stored_in_no_order_fire_in_theirs() -> None:
    delays = [{"delay": delay, "actions": [{"log": delay}]} for delay in ("3m", "1m", "2m", "1m")]
    driver = Driver(plan_of([chart_node("m", state("a", after=delays))])).start()
    driver.state = driver.state.copy()
    driver.state.alarms = None
    driver.fire(next(iter(driver.timers)), START + 4 * MINUTE * 1000)
    assert driver.logs == ["1m", "1m", "2m", "3m"]


@pytest.mark.parametrize(("end", "fields"), [("done", {}), ("error", {"outputs": "${1 / 0}"})])
def test_the_end_of_a_graph_comes_after_what_was_sent_before_it(end: str, fields: dict[str, Any]) -> None:
    inner = {"id": "m", "type": "state_machine", "initial_state": "x", **fields,
             "states": [state("x", on("go", "done", {"send": {"event": "news", "data": {"n": 1}}}))]}  # fmt: skip
    driver = started(state("a", on("news", None), on(f"{end}.run.a", "b"), run=[inner]), state("b"))
    driver.send("go")
    assert [(step.machine, step.event) for step in driver.macrosteps if step.event][-2:] == [
        ("", "news"),
        ("", f"{end}.run.a"),
    ]
    assert driver.configuration == ["b"]


def test_a_chart_that_leaves_a_state_is_not_told_of_the_end_of_its_graph() -> None:
    failing = {"id": "m", "type": "state_machine", "initial_state": "x", "outputs": "${1 / 0}",
               "states": [state("x", on("go", "done", {"send": {"event": "leave"}}))]}  # fmt: skip
    driver = started(state("a", on("leave", "b"), run=[failing]), state("b"))
    driver.send("go")
    assert driver.status == "running"
    assert driver.configuration == ["b"]
    assert [step.event for step in driver.macrosteps if not step.machine] == ["", "leave"]


def test_a_run_that_fails_after_the_state_was_entered_again_is_that_of_the_new_visit() -> None:
    again = state("a", on("again", "a"), on("error.run.a", "b"), run=[{"id": "n", "type": "tool", "tool": "t"}])
    plan = chart_of([again, state("b")])
    driver = Driver(plan).start()
    driver.send("again")
    driver.fail("a/n")
    assert driver.configuration == ["b"]
