"""The test kit moves charts: events are sent, time passes, and the result says where the chart is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester

ORDER: dict[str, Any] = {
    "id": "order",
    "type": "state_machine",
    "initial_state": "created",
    "variables": {"amount": 10},
    "states": [
        {
            "name": "created",
            "transitions": [{"event": "pay", "condition": "${method} == 'card'", "target": "paid"}],
            "after": [{"delay": "30d", "target": "done"}],
        },
        {
            "name": "paid",
            "on_enter": [{"publish_event": {"topic": "order.paid", "payload": {"by": "${method}"}}}],
            "run": [{"id": "pack", "type": "tool", "tool": "packer", "inputs": {}}],
            "on_done": "packed",
        },
        {"name": "packed", "transitions": [{"event": "ship", "target": "done"}]},
    ],
    "triggers": [{"type": "event", "topic": "order.shipped", "event": "ship", "correlate": "${detail.who}",
                  "with": "${method}"}],
}  # fmt: skip


@pytest.fixture
def tester() -> Iterator[WorkflowTester]:
    with WorkflowTester.embedded() as opened:
        opened.mock_tool("packer", {"box": 1}, delay=60)
        yield opened


def test_an_event_is_taken_and_all_that_follows_without_timers_happens(tester: WorkflowTester) -> None:
    execution_id = tester.start(ORDER)
    began = tester.now
    taken = tester.send_event(execution_id, "pay", {"method": "card"})
    assert (taken["outcome"], taken["current_states"]) == ("taken", ["packed"])
    assert (tester.now - began).total_seconds() == 60, "the packer took its time, and nothing else did"
    result = tester.result(execution_id)
    result.assert_states("packed").assert_variables(amount=10, method="card")
    result.assert_transitions("pay: created -> paid", "paid -> packed").assert_node("paid/pack", status="success")
    assert [event["detail-type"] for event in tester.published] == ["order.paid"]


def test_timers_fire_when_their_time_comes_and_not_before(tester: WorkflowTester) -> None:
    execution_id = tester.start(ORDER)
    tester.advance_time("29d23h")
    tester.result(execution_id).assert_states("created")
    tester.advance_time(3600)
    tester.result(execution_id).assert_completed().assert_states("done").assert_transitions("timeout: created -> done")
    with pytest.raises(RequestError, match="has ended"):
        tester.send_event(execution_id, "pay")


def test_an_event_of_the_bus_reaches_whom_it_concerns(tester: WorkflowTester) -> None:
    execution_id = tester.start(ORDER)
    tester.send_event(execution_id, "pay", {"method": "card"})
    tester.publish_event("shop", "order.shipped", {"who": "nobody"})
    tester.result(execution_id).assert_states("packed")
    tester.publish_event("shop", "order.shipped", {"who": "card"})
    tester.result(execution_id).assert_completed()


def test_the_same_key_has_one_effect(tester: WorkflowTester) -> None:
    execution_id = tester.start(ORDER)
    for _ in range(2):
        assert tester.send_event(execution_id, "pay", {"method": "card"}, key="k")["outcome"] == "taken"
    tester.result(execution_id).assert_transitions("created -> paid", "paid -> packed")


def test_on_simulated_aws_events_are_sent_in_the_same_way() -> None:
    with WorkflowTester.simulated_aws() as aws:
        aws.mock_tool("packer", {"box": 1})
        execution_id = aws.start(ORDER)
        assert aws.send_event(execution_id, "pay", {"method": "card"})["current_states"] == ["packed"]
        aws.publish_event("shop", "order.shipped", {"who": "card"})
        aws.result(execution_id).assert_completed()


def test_assertions_say_what_was_there_instead(tester: WorkflowTester) -> None:
    execution_id = tester.start(ORDER)
    tester.send_event(execution_id, "pay", {"method": "cash"})
    result = tester.result(execution_id)
    with pytest.raises(AssertionError, match="expected the states paid, active are created"):
        result.assert_states("paid")
    with pytest.raises(AssertionError, match="no chart has begun at 'review'; there are: none"):
        result.assert_states("paid", machine="review")
    with pytest.raises(AssertionError, match=r"expected 'created -> paid', is 'pay: not taken' \(.* is false\)"):
        result.assert_transitions("created -> paid")
    with pytest.raises(AssertionError, match="transition 2: expected x, there is none"):
        result.assert_transitions({"event": "pay", "configuration": ["created"]}, "x")
    with pytest.raises(AssertionError, match="transition 1: not expected, is 'pay: not taken'"):
        result.assert_transitions()
    with pytest.raises(AssertionError, match=r"variables\.amount: expected 11, is 10"):
        result.assert_variables(amount=11)


def test_an_event_may_come_while_a_node_runs(tester: WorkflowTester) -> None:
    definition = {**ORDER, "states": [*ORDER["states"]]}
    definition["states"][1] = {**ORDER["states"][1], "transitions": [{"event": "cancel", "target": "done"}]}
    execution_id = tester.start(definition)
    began = tester.now
    tester.send_event(execution_id, "pay", {"method": "card"}, settle=False)
    tester.advance_time("2s", settle=False)
    taken = tester.send_event(execution_id, "cancel", settle=False)
    assert (taken["outcome"], taken["current_states"]) == ("taken", ["done"])
    assert (tester.now - began).total_seconds() == 2
    assert tester.result(execution_id).status == "completed"


def test_a_timer_that_is_due_while_a_node_runs_comes_at_its_time(tester: WorkflowTester) -> None:
    race = {
        "id": "race",
        "type": "hybrid",
        "initial_state": "working",
        "final_states": ["late", "on_time"],
        "states": [
            {
                "name": "working",
                "run": {"id": "slow", "type": "tool", "tool": "packer"},
                "on_done": "late",
                "after": [{"delay": 1, "target": "on_time"}],
            }
        ],
    }
    execution_id = tester.start(race)
    tester.settle()
    tester.result(execution_id).assert_states("on_time")


def test_an_execution_can_be_cancelled_while_a_tool_runs(tester: WorkflowTester) -> None:
    execution_id = tester.start(ORDER)
    tester.send_event(execution_id, "pay", {"method": "card"}, settle=False)
    tester.cancel(execution_id, "withdrawn", settle=False)
    result = tester.result(execution_id)
    assert result.status == "cancelled"
    result.assert_node("paid/pack", status="cancelled")


def test_a_test_freezes_an_agent_and_thaws_it(runtime: WorkflowTester) -> None:
    runtime.mock_agent("作者", {"text": "好"})
    runtime.freeze(agent="作者")
    id = runtime.start({"id": "写", "nodes": [{"id": "写", "type": "agent", "agent": "作者"}]})
    runtime.result(id).assert_node("写", status="ready", waiting_on="frozen")
    assert runtime.calls("作者") == []
    runtime.thaw(agent="作者")
    runtime.result(id).assert_completed()
