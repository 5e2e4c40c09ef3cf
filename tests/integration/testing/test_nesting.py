"""Values are nested at most 100 levels deep, wherever they come in and whatever makes them; deeper ones are refused."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.language.json_values import DEPTH_MAX
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

TOO_DEEP = f"nested more than {DEPTH_MAX} levels deep"

HEARING: dict[str, Any] = {
    "id": "hearing",
    "type": "state_machine",
    "initial_state": "open",
    "variables": {"heard": 0, "value": None},
    "triggers": [{"type": "event", "topic": "hit", "event": "hit", "correlate": "${detail.key}", "with": "k"}],
    "states": [
        {
            "name": "open",
            "transitions": [
                {
                    "event": "hit",
                    "actions": [
                        {"set_variable": {"name": "heard", "value": "${heard + 1}"}},
                        {"set_variable": {"name": "value", "value": "${event.data}"}},
                    ],
                }
            ],
        }
    ],
}
GROWING: dict[str, Any] = {
    "id": "growing",
    "type": "state_machine",
    "initial_state": "open",
    "variables": {"value": 0, "passes": 0, "why": ""},
    "states": [
        {
            "name": "open",
            "on_enter": [{"send": {"event": "again"}}],
            "transitions": [
                {
                    "event": "again",
                    "target": "open",
                    "actions": [
                        {"set_variable": {"name": "value", "value": ["${value}"]}},
                        {"set_variable": {"name": "passes", "value": "${passes + 1}"}},
                    ],
                },
                {
                    "event": "error.execution",
                    "target": "end",
                    "actions": [{"set_variable": {"name": "why", "value": "${event.data.message}"}}],
                },
            ],
        },
        {"name": "end", "type": "final"},
    ],
    "outputs": {"passes": "${passes}", "why": "${why}"},
}
CALLING: dict[str, Any] = {"id": "calling", "nodes": [{"id": "a", "type": "tool", "tool": "deep"}]}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_an_input_is_bounded(runtime: WorkflowTester) -> None:
    echo = {"id": "echoing", "nodes": [{"id": "a", "type": "tool", "tool": "echo"}]}
    document = runtime.finish(runtime.start(echo, {"v": nested(DEPTH_MAX - 1)})).document
    assert document["status"] == "completed"
    with pytest.raises(RequestError, match=TOO_DEEP):
        runtime.start(echo, {"v": nested(DEPTH_MAX)})


def test_the_data_of_an_event_are_bounded(runtime: WorkflowTester) -> None:
    execution_id = runtime.start(HEARING)
    runtime.send_event(execution_id, "hit", nested(DEPTH_MAX))
    with pytest.raises(RequestError, match=TOO_DEEP):
        runtime.send_event(execution_id, "hit", nested(DEPTH_MAX + 1))
    assert runtime.result(execution_id).variables == {"heard": 1, "value": nested(DEPTH_MAX)}


def test_an_event_on_the_bus_is_bounded(runtime: WorkflowTester) -> None:
    execution_id = runtime.start(HEARING)
    runtime.publish_event("shop", "hit", {"key": "k", "v": nested(DEPTH_MAX - 1)})
    with pytest.raises(RequestError, match=TOO_DEEP):
        runtime.publish_event("shop", "hit", {"key": "k", "v": nested(DEPTH_MAX)})
    assert runtime.result(execution_id).variables["heard"] == 1


def test_a_value_that_a_chart_makes_deeper_each_time_fails_the_action(runtime: WorkflowTester) -> None:
    document = runtime.finish(runtime.start(GROWING)).document
    assert document["output"]["passes"] == DEPTH_MAX
    assert TOO_DEEP in document["output"]["why"]


def test_a_mock_is_bounded_as_it_is(runtime: WorkflowTester) -> None:
    with pytest.raises(DefinitionError, match=TOO_DEEP):
        runtime.start(CALLING, {}, {"tools": {"deep": {"return": nested(DEPTH_MAX + 1)}}})


def test_what_the_formula_of_a_mock_makes_is_bounded(runtime: WorkflowTester) -> None:
    mocks = {"tools": {"deep": {"return": [f"${{{'[' * 40}inputs.v{']' * 40}}}"]}}}
    calling = {**CALLING, "nodes": [{**CALLING["nodes"][0], "inputs": {"v": "${v}"}}]}
    for levels, status in ((DEPTH_MAX - 41, "completed"), (DEPTH_MAX - 40, "failed")):
        document = runtime.finish(runtime.start(calling, {"v": nested(levels)}, mocks)).document
        assert document["status"] == status
    assert TOO_DEEP in document["error"]["message"]
