"""A text that is compared with a number is noted where people look, whoever compares them: nothing wrong is silent."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

TOTAL = {"id": "订单", "type": "tool", "tool": "echo", "inputs": {"total": "${total}"}}
ADVICE = "compares a text with a number; convert one of them with number() or string()"


def graph(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "doubts", "nodes": [TOTAL, *nodes], **fields}


def tool(**fields: Any) -> dict[str, Any]:
    return {"id": "x", "type": "tool", "tool": "echo", "dependencies": ["订单"], **fields}


def control(subtype: str, **fields: Any) -> dict[str, Any]:
    return {"id": "x", "type": "control", "subtype": subtype, "dependencies": ["订单"], **fields}


AGGREGATION = {"id": "x", "type": "aggregation", "strategy": "expression", "dependencies": ["订单"]}

MADE_BY = {
    "inputs in a worker": (tool(inputs={"big": "${订单.total > 100}"}), "订单.total > 100"),
    "when, which skips": (tool(when="${订单.total} > 100"), "订单.total > 100"),
    "when, which does not": (tool(when="${订单.total} != 100"), "订单.total != 100"),
    "outputs": (tool(outputs={"big": "${订单.total >= 7}"}), "订单.total >= 7"),
    "pass": (control("pass", inputs={"same": "${订单.total == 250}"}), "订单.total == 250"),
    "switch": (control("switch", branches=[{"when": "${订单.total} < 3", "target": "订单2"}]), "订单.total < 3"),
    "condition": (control("condition", condition="total in [1, 2]", then="订单2"), "total in …"),
    "fail": (control("fail", message="${total < 3}", error="nope"), "total < 3"),
    "aggregation": ({**AGGREGATION, "value": "${订单.total > 3}"}, "订单.total > 3"),
    "wait": (control("wait", duration="${订单.total > 3 ? 1 : 2}"), "订单.total > 3"),
}  # fmt: skip


@pytest.mark.parametrize(("node", "comparison"), MADE_BY.values(), ids=MADE_BY)
def test_the_run_of_a_node_notes_it(runtime: WorkflowTester, node: dict[str, Any], comparison: str) -> None:
    result = runtime.run(graph(node, {"id": "订单2", "type": "control", "subtype": "pass"}), {"total": "250"})
    assert result.nodes["x"]["warnings"] == [f"`{comparison}` {ADVICE}"]
    assert not result.nodes["订单"]["warnings"]


def test_numbers_are_compared_without_a_note(runtime: WorkflowTester) -> None:
    result = runtime.run(graph(tool(when="${订单.total} > 100")), {"total": 250}).assert_completed()
    assert result.nodes["x"]["status"] == "success"
    assert not result.nodes["x"]["warnings"]


def test_nothing_is_said_of_null(runtime: WorkflowTester) -> None:
    result = runtime.run(graph(tool(when="${订单.total} > 100")), {"total": None})
    assert not result.nodes["x"]["warnings"]


def test_the_target_of_an_edge_notes_its_condition(runtime: WorkflowTester) -> None:
    edges = [{"from": "订单", "to": "x", "condition": "${订单.total} > 100"}]
    node = {"id": "x", "type": "tool", "tool": "echo"}
    entry = runtime.run(graph(node, edges=edges), {"total": "250"}).nodes["x"]
    assert entry["status"] == "skipped"
    assert entry["attempts"] == 0
    assert entry["started_at"] is entry["ended_at"] is None
    assert entry["warnings"] == [f"`订单.total > 100` {ADVICE}"]


def test_a_wait_notes_the_events_that_do_not_match_while_it_waits(runtime: WorkflowTester) -> None:
    wait = control("wait", event="paid", match="${event.data.amount} >= 100")
    run = runtime.start(graph(wait), {"total": 1})
    runtime.send_event(run, "paid", {"amount": "250"})
    entry = runtime.result(run).nodes["x"]
    assert entry["status"] == "running"
    assert entry["warnings"] == [f"`event.data.amount >= 100` {ADVICE}"]


def test_a_wait_notes_a_match_that_fails(runtime: WorkflowTester) -> None:
    run = runtime.start(graph(control("wait", event="paid", match="event.data.amount - 1 > 0")), {"total": 1})
    runtime.send_event(run, "paid", {"amount": "250"})
    (warning,) = runtime.result(run).nodes["x"]["warnings"]
    assert warning.startswith("match: string - number: numbers are expected")


def test_a_graph_inside_a_state_keeps_its_notes_when_the_state_is_left(runtime: WorkflowTester) -> None:
    run = [{"id": "x", "type": "tool", "tool": "echo", "when": "${total} > 100"}]
    states = [{"name": "s", "run": run, "on_done": "done"}]
    result = runtime.run({"id": "h", "type": "hybrid", "states": states}, {"total": "250"}).assert_completed()
    assert result.nodes["s/x"]["status"] == "skipped"
    assert result.nodes["s/x"]["warnings"] == [f"`total > 100` {ADVICE}"]


def test_a_node_that_was_skipped_with_a_note_can_run_after_all(runtime: WorkflowTester) -> None:
    last = {"id": "last", "type": "tool", "tool": "echo", "dependencies": ["x"], "join": "all_done"}
    flow = graph(tool(when="${variables.least} < 7"), last, variables={"least": "5"})
    run = runtime.start(flow, {"total": 1})
    assert runtime.result(run).nodes["x"]["status"] == "skipped"
    runtime.retry(run, from_node="x", variables={"least": 5})
    entry = runtime.result(run).nodes["x"]
    assert entry["status"] == "success"
    assert not entry["warnings"]


CHART = {
    "id": "chart",
    "type": "state_machine",
    "initial_state": "s",
    "states": [
        {
            "name": "s",
            "transitions": [
                {"event": "pay", "condition": "${amount} >= 100", "target": "done"},
                {"event": "drop", "condition": "${amount} != 100", "target": "done"},
                {"event": "set", "actions": [{"set_variable": {"name": "big", "value": "${amount > 100}"}}]},
            ],
        }
    ],
}


def test_a_guard_that_is_false_for_it_says_so_in_its_reason(runtime: WorkflowTester) -> None:
    run = runtime.start(CHART)
    runtime.send_event(run, "pay", {"amount": "250"})
    reason = f"`${{amount}} >= 100` of `s` is false; `amount >= 100` {ADVICE}"
    assert runtime.result(run).transitions[-1]["reason"] == reason


@pytest.mark.parametrize(("event", "comparison"), [("drop", "amount != 100"), ("set", "amount > 100")])
def test_a_transition_notes_what_its_guard_and_actions_compared(
    runtime: WorkflowTester, event: str, comparison: str
) -> None:
    run = runtime.start(CHART)
    runtime.send_event(run, event, {"amount": "250"})
    assert runtime.result(run).transitions[-1]["warnings"] == [f"`{comparison}` {ADVICE}"]
