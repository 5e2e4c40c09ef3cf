"""A formula that fails while an execution starts, or in a worker, or over an event of the bus, fails visibly.

What the dispatcher evaluates is planted with errors in `tests/unit/engine/test_evaluation_errors.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

BAD = "${1 / zero}"
ZERO = {"id": "w", "variables": {"zero": 0}}
WORK: dict[str, Any] = {"id": "n", "type": "tool", "tool": "echo"}
BROKEN = {"id": "n", "type": "tool", "tool": "broken"}

IN_WORKERS: dict[str, dict[str, Any]] = {
    "inputs": {**WORK, "inputs": {"x": [BAD]}},
    "outputs": {**WORK, "outputs": {"x": BAD}},
    "tool": {**WORK, "tool": BAD, "allow": ["echo"]},
    "a tool that is not allowed": {**WORK, "tool": "${'other'}", "allow": ["echo"]},
    "agent": {"id": "n", "type": "agent", "agent": BAD, "allow": ["asker"]},
    "prompt": {"id": "n", "type": "agent", "agent": "asker", "prompt": f"Go on: {BAD}"},
    "inputs of an agent": {"id": "n", "type": "agent", "agent": "asker", "inputs": {"x": BAD}},
    "outputs of an agent": {"id": "n", "type": "agent", "agent": "asker", "outputs": {"x": BAD}},
    "fallback": {**BROKEN, "fallback": {"value": {"x": BAD}}},
    "inputs of a fallback": {**BROKEN, "fallback": {"tool": "echo", "inputs": {"x": BAD}}},
    "prompt of a fallback": {**BROKEN, "fallback": {"agent": "asker", "prompt": BAD}},
}


def mocked(runtime: WorkflowTester, place: str = "fallback") -> WorkflowTester:
    if "asker" in str(IN_WORKERS[place]):
        runtime.mock_agent("asker", {"answer": 1})
    if "broken" in str(IN_WORKERS[place]):
        runtime.mock_tool("broken", script=[{"raise": {"type": "broken", "message": "no"}}])
    return runtime


@pytest.mark.parametrize("place", IN_WORKERS)
def test_a_node_whose_formula_fails_in_a_worker_fails(runtime: WorkflowTester, place: str) -> None:
    result = mocked(runtime, place).run({**ZERO, "nodes": [IN_WORKERS[place]]})
    result.assert_failed(node="n")
    assert result.nodes["n"]["status"] == "failed"


@pytest.mark.parametrize("place", IN_WORKERS)
def test_so_does_a_node_that_a_state_runs(runtime: WorkflowTester, place: str) -> None:
    states = [{"name": "s", "run": IN_WORKERS[place], "on_done": "done"}]
    mocked(runtime, place).run({**ZERO, "type": "hybrid", "states": states}).assert_failed(node="s/n")


def test_so_does_a_tool_that_an_action_calls(runtime: WorkflowTester) -> None:
    call = {"tool": {"tool": "echo", "inputs": {"x": BAD}, "result": "r"}}
    states = [{"name": "s", "on_enter": [call], "transitions": [{"event": "x", "target": "done"}]}]
    runtime.run({**ZERO, "type": "state_machine", "states": states}).assert_failed(message="division by zero")


def test_a_compensation_whose_formula_fails_is_recorded(runtime: WorkflowTester) -> None:
    undone = {**WORK, "id": "booked", "compensate": {"tool": "echo", "inputs": {"x": BAD}}}
    result = mocked(runtime).run({**ZERO, "nodes": [undone, {**BROKEN, "dependencies": ["booked"]}]})
    result.assert_failed(node="n")
    assert result.compensation == "failed"


def test_outputs_that_are_put_together_in_a_worker_fail_the_execution(runtime: WorkflowTester) -> None:
    large = [{**WORK, "id": f"n{number}", "inputs": {"text": "x" * 600_000}} for number in range(2)]
    outputs = {"all": ["${n0.text}", "${n1.text}"], "x": BAD}
    runtime.run({**ZERO, "nodes": large, "outputs": outputs}).assert_failed(message="division by zero")


def test_variables_that_fail_refuse_the_start(runtime: WorkflowTester) -> None:
    variables = {"zero": 0, "x": BAD}
    with pytest.raises(RequestError, match="division by zero") as caught:
        runtime.start({"id": "w", "variables": variables, "nodes": [WORK]})
    assert caught.value.code == "invalid_input"


TRIGGERS = {
    "input": {"input": {"x": BAD}},
    "key": {"key": BAD},
    "correlate": {"event": "go", "correlate": BAD, "with": "${id}", "start_if_none": True},
}


@pytest.mark.parametrize("place", TRIGGERS)
def test_a_trigger_whose_formula_fails_starts_nothing_and_says_so(
    runtime: WorkflowTester, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    wait = {"id": "n", "type": "control", "subtype": "wait", "event": "go"}
    trigger = {"type": "event", "topic": "t", **TRIGGERS[place]}
    runtime.publish({"id": "w", "triggers": [trigger], "nodes": [wait]})
    runtime.publish_event("shop", "t", {"id": 7, "zero": 0})
    runtime.settle()
    assert "execution created" not in caplog.messages
    assert any("division by zero" in str(vars(record)) for record in caplog.records if record.levelname == "ERROR")


def test_a_key_that_fails_fails_the_execution_that_has_it(runtime: WorkflowTester) -> None:
    trigger = {"type": "event", "topic": "t", "event": "go", "correlate": "${detail.id}", "with": BAD}
    wait = {"id": "n", "type": "control", "subtype": "wait", "event": "go"}
    result = runtime.run({**ZERO, "triggers": [trigger], "nodes": [wait]})
    result.assert_failed(message="division by zero")


def test_a_key_that_reads_what_is_still_to_come_fails_nothing(runtime: WorkflowTester) -> None:
    trigger = {"type": "event", "topic": "t", "event": "go", "correlate": "${detail.id}", "with": "${upper(order)}"}
    states = [
        {"name": "s", "transitions": [{"event": "set", "target": "t"}]},
        {"name": "t", "transitions": [{"event": "go", "target": "done"}]},
    ]
    chart = {"type": "state_machine", "initial_state": "s", "variables": {"order": None}, "merge_event_data": True}
    execution_id = runtime.start({"id": "w", **chart, "states": states, "triggers": [trigger]})
    runtime.send_event(execution_id, "set", {"order": "a"})
    runtime.publish_event("shop", "t", {"id": "A"})
    runtime.settle()
    runtime.result(execution_id).assert_completed()
