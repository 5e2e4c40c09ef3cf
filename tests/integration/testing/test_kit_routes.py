"""An event of the bus reaches an execution only by a trigger or wait of its own plan, and early ones are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester


@pytest.fixture
def tester() -> Iterator[WorkflowTester]:
    with WorkflowTester.embedded() as opened:
        yield opened


def wait(id: str, event: str, field: str, **fields: Any) -> dict[str, Any]:
    """A wait for an event whose ``field`` is the execution's."""
    return {
        "id": id, "type": "control", "subtype": "wait", "event": event,
        "correlate": f"${{detail.{field}}}", "with": f"${{{field}}}", **fields,
    }  # fmt: skip


def pause(id: str, seconds: int, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "control", "subtype": "wait", "duration": seconds, **fields}


def bring(topic: str, field: str, **fields: Any) -> dict[str, Any]:
    """A trigger that brings `paid` to the executions whose ``field`` is the event's."""
    correlation = {"correlate": f"${{detail.{field}}}", "with": f"${{{field}}}"}
    return {"type": "event", "topic": topic, "event": "paid", **correlation, **fields}


def counter(*triggers: dict[str, Any]) -> dict[str, Any]:
    """A chart that counts the events `paid`."""
    count = {"event": "paid", "actions": [{"set_variable": {"name": "n", "value": "${n + 1}"}}]}
    return {
        "id": "counter", "type": "state_machine", "variables": {"n": 0}, "initial_state": "s",
        "states": [{"name": "s", "transitions": [count]}], "triggers": list(triggers),
    }  # fmt: skip


def test_keys_of_different_triggers_are_apart(tester: WorkflowTester) -> None:
    definition = counter(bring("order.paid", "order"), bring("customer.paid", "customer"))
    other = tester.start(definition, {"order": 42, "customer": 7})
    meant = tester.start(definition, {"order": 7, "customer": 99})
    tester.publish_event("shop", "order.paid", {"order": 7})
    tester.result(meant).assert_variables(n=1)
    tester.result(other).assert_variables(n=0)


def test_keys_of_different_waits_are_apart(tester: WorkflowTester) -> None:
    nodes = [wait("by_order", "paid", "order"), wait("by_customer", "paid", "customer")]
    execution_id = tester.start({"id": "w", "nodes": nodes}, {"order": 42, "customer": 7})
    tester.publish_event("shop", "paid", {"order": 7})
    tester.result(execution_id).assert_node("by_order", status="running").assert_node("by_customer", status="running")
    tester.publish_event("shop", "paid", {"order": 42, "customer": 7})
    tester.result(execution_id).assert_completed()


def test_an_event_that_two_triggers_bring_takes_effect_once(tester: WorkflowTester) -> None:
    definition = counter(bring("paid", "order"), bring("paid", "customer"))
    execution_id = tester.start(definition, {"order": 1, "customer": 2})
    tester.publish_event("shop", "paid", {"order": 1, "customer": 2})
    tester.result(execution_id).assert_variables(n=1)


def test_an_execution_follows_the_triggers_of_its_own_version(tester: WorkflowTester) -> None:
    """Neither takes the new version what only the old one asks for, nor the other way round."""
    old = tester.start(counter(bring("order.paid", "order")), {"order": 1})
    new = tester.start(counter(bring("order.paid", "order", filters={"amount": [100]})), {"order": 1})
    tester.publish_event("shop", "order.paid", {"order": 1, "amount": 5})
    tester.result(old).assert_variables(n=1)
    tester.result(new).assert_variables(n=0)
    tester.publish_event("shop", "order.paid", {"order": 1, "amount": 100})
    tester.result(old).assert_variables(n=2)
    tester.result(new).assert_variables(n=1)
    newest = counter(bring("order.settled", "order"))
    tester.start(newest, {"order": 2})
    tester.publish_event("shop", "order.settled", {"order": 1})
    tester.result(old).assert_variables(n=2)
    tester.result(new).assert_variables(n=1)


def test_a_version_that_nothing_was_started_with_brings_nothing_to_another(tester: WorkflowTester) -> None:
    """Its trigger lets everything through; nothing runs by it, and never has."""
    tester.publish(counter(bring("order.paid", "order")))
    execution_id = tester.start(counter(bring("order.paid", "order", filters={"amount": [100]})), {"order": 1})
    tester.publish_event("shop", "order.paid", {"order": 1, "amount": 5})
    tester.result(execution_id).assert_variables(n=0)
    tester.publish_event("shop", "order.paid", {"order": 1, "amount": 100})
    tester.result(execution_id).assert_variables(n=1)


def test_a_correlated_event_that_comes_before_its_wait_is_kept(tester: WorkflowTester) -> None:
    nodes = [pause("before", 10), wait("paid", "paid", "order", timeout=60, dependencies=["before"])]
    execution_id = tester.start({"id": "w", "nodes": nodes}, {"order": 1})
    tester.publish_event("shop", "paid", {"order": 1, "by": "card"})
    tester.publish_event("shop", "paid", {"order": 2, "by": "nobody"})
    [early] = tester.result(execution_id).document["kept_events"]
    assert (early["event"], early["source"]) == ("paid", "shop")
    tester.advance_time(10)
    tester.result(execution_id).assert_completed()
    assert tester.result(execution_id).nodes["paid"]["output"] == {"order": 1, "by": "card"}


def test_of_two_waits_in_a_row_each_has_its_event(tester: WorkflowTester) -> None:
    nodes = [
        wait("first", "part", "order"),
        pause("between", 5, dependencies=["first"]),
        wait("second", "part", "order", dependencies=["between"]),
    ]
    execution_id = tester.start({"id": "w", "nodes": nodes}, {"order": 1})
    for number in (1, 2):
        tester.publish_event("shop", "part", {"order": 1, "number": number})
    tester.advance_time(5)
    result = tester.result(execution_id).assert_completed()
    assert [result.nodes[name]["output"]["number"] for name in ("first", "second")] == [1, 2]


def test_an_event_for_a_wait_in_a_state_that_is_not_entered_yet_is_kept(tester: WorkflowTester) -> None:
    definition = {
        "id": "w", "type": "state_machine", "initial_state": "packing", "final_states": ["sent"],
        "states": [
            {"name": "packing", "transitions": [{"event": "packed", "target": "paying"}]},
            {"name": "paying", "run": [wait("paid", "paid", "order")], "on_done": "sent"},
        ],
    }  # fmt: skip
    execution_id = tester.start(definition, {"order": 1})
    tester.publish_event("shop", "paid", {"order": 1})
    tester.result(execution_id).assert_states("packing")
    tester.send_event(execution_id, "packed")
    tester.result(execution_id).assert_completed()


# ---- event_schemas

TYPED: dict[str, Any] = {
    "id": "typed",
    "type": "state_machine",
    "initial_state": "open",
    "final_states": ["paid"],
    "event_schemas": {
        "pay": {"type": "object", "required": ["sum"], "properties": {"sum": {"type": "integer", "minimum": 1}}}
    },
    "states": [{"name": "open", "transitions": [{"event": "pay", "target": "paid"}]}],
    "triggers": [bring("order.paid", "order") | {"event": "pay"}],
}


def test_an_event_whose_data_does_not_match_its_schema_is_refused_at_the_door(tester: WorkflowTester) -> None:
    execution_id = tester.start(TYPED, {"order": 1})
    [awaited] = tester.result(execution_id).document["available_events"]
    assert awaited["schema"] == TYPED["event_schemas"]["pay"]
    with pytest.raises(RequestError, match="data of `pay` does not match its schema in event_schemas: sum: 0 is less"):
        tester.send_event(execution_id, "pay", {"sum": 0})
    tester.result(execution_id).assert_states("open")
    tester.send_event(execution_id, "pay", {"sum": 5})
    tester.result(execution_id).assert_completed()


def test_one_that_comes_by_the_bus_is_ignored(tester: WorkflowTester) -> None:
    execution_id = tester.start(TYPED, {"order": 1})
    tester.publish_event("shop", "order.paid", {"order": 1, "sum": "five"})
    tester.result(execution_id).assert_states("open")
    tester.publish_event("shop", "order.paid", {"order": 1, "sum": 5})
    tester.result(execution_id).assert_completed()
