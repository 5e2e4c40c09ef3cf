"""Nodes that wait until somebody completes their task token, in the test kit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester, replay

pytest_plugins = ["pytester"]

RENDER: dict[str, Any] = {
    "id": "render",
    "type": "tool",
    "tool": "render",
    "inputs": {"film": "${film}", "token": "${task_token}"},
    "callback": {"timeout": "2h", "heartbeat": "10m"},
}
SHOW: dict[str, Any] = {"id": "show", "type": "tool", "tool": "show", "inputs": {"url": "${render.url}"}}

FILMS = """
from workflow_runtime.sdk import NodeContext, pending, tool

@tool
def film(context: NodeContext) -> dict:
    assert len(context.task_token) == 43
    return pending(timeout="2h")
"""


def workflow(**changes: Any) -> dict[str, Any]:
    return {"id": "film", "nodes": [{**RENDER, **changes}, SHOW]}


@pytest.fixture
def tester() -> Iterator[WorkflowTester]:
    with WorkflowTester.embedded() as opened:
        opened.mock_tool("render", {"job": 7})
        opened.mock_tool("show", {"ok": True})
        yield opened


def test_a_node_waits_until_its_token_is_completed(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(), {"film": "春"})
    assert tester.result(execution_id).nodes["render"]["status"] == "running"
    (call,) = tester.calls("render")
    assert call.inputs["token"] == tester.task_token(execution_id)
    tester.complete_task(execution_id, output={"url": "x"})
    result = tester.result(execution_id)
    assert result.status == "completed"
    assert result.nodes["render"]["output"] == {"url": "x"}
    assert tester.calls("show")[0].inputs == {"url": "x"}
    recording = tester.recording(execution_id)
    assert replay(recording) is None
    with pytest.raises(RequestError, match="counts no more: it was completed at 2026"):
        tester.complete_task(execution_id, "render", {"url": "y"})


def test_its_token_is_kept_nowhere(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(), {"film": "春"})
    token = tester.task_token(execution_id)
    tester.fail_task(execution_id, message=f"no {token}")
    result = tester.result(execution_id)
    assert result.status == "failed"
    assert token not in json.dumps(result.document)
    assert (result.error or {})["message"] == "no ***"


def test_a_failure_goes_by_the_retry_policy(tester: WorkflowTester) -> None:
    retry = [{"errors": ["busy"], "max_retries": 1, "retry_delay": 1}]
    execution_id = tester.start(workflow(retry_policy=retry), {"film": "春"})
    first = tester.task_token(execution_id)
    tester.fail_task(execution_id, type="busy", message="no place")
    tester.advance(minutes=1)
    assert [call.attempt for call in tester.calls("render")] == [1, 2]
    assert tester.task_token(execution_id) != first
    tester.complete_task(execution_id, output={"url": "x"})
    assert tester.result(execution_id).nodes["render"]["attempts"] == 2


def test_it_times_out_and_is_tried_again(tester: WorkflowTester) -> None:
    retry = [{"errors": ["timeout"], "max_retries": 1, "retry_delay": 1}]
    execution_id = tester.start(workflow(retry_policy=retry, callback={"timeout": "2h"}), {"film": "春"})
    tester.advance(hours=2, minutes=1)
    assert len(tester.calls("render")) == 2
    tester.advance(hours=3)
    result = tester.result(execution_id)
    assert result.status == "failed"
    assert (result.error or {})["type"] == "timeout"


def test_it_fails_when_no_heartbeat_comes(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(), {"film": "春"})
    for _ in range(3):
        tester.advance(minutes=9)
        tester.heartbeat_task(execution_id)
    assert tester.result(execution_id).status == "running"
    tester.advance(minutes=11)
    result = tester.result(execution_id)
    assert (result.error or {})["message"] == "its task token had no heartbeat for 600 s"
    with pytest.raises(RequestError, match="counts no more"):
        tester.heartbeat_task(execution_id, "render")


def test_a_tool_waits_when_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "films.py").write_text(FILMS, encoding="utf-8")
    with WorkflowTester.embedded(tmp_path) as opened:
        execution_id = opened.start({"id": "w", "nodes": [{"id": "f", "type": "tool", "tool": "film"}]})
        node = opened.result(execution_id).nodes["f"]
        assert node["status"] == "running", node
        opened.complete_task(execution_id, "f", {"n": 1})
        assert opened.result(execution_id).output == {"n": 1}
        execution_id = opened.start({"id": "w", "nodes": [{"id": "f", "type": "tool", "tool": "film"}]})
        opened.advance(hours=3)
        assert (opened.result(execution_id).error or {})["type"] == "timeout"


def test_outputs_shape_what_the_token_is_completed_with(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(outputs={"url": "${output.where}"}), {"film": "春"})
    tester.complete_task(execution_id, output={"where": "x"})
    assert tester.calls("show")[0].inputs == {"url": "x"}
    execution_id = tester.start(workflow(outputs=["url"]), {"film": "春"})
    tester.complete_task(execution_id, output={"url": "y", "more": 1})
    assert tester.result(execution_id).nodes["render"]["output"] == {"url": "y"}


def test_what_the_token_cannot_be_completed_with(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(), {"film": "春"})
    with pytest.raises(RequestError, match="JSON") as caught:
        tester.complete_task(execution_id, output={"url": object()})
    assert caught.value.code == "invalid_request"
    with pytest.raises(RequestError, match="`type` is a text of 1 to 128"):
        tester.fail_task(execution_id, type="")
    assert tester.result(execution_id).status == "running"


def test_a_cancelled_execution_undoes_at_once_though_a_node_waits_for_its_token(tester: WorkflowTester) -> None:
    tester.mock_tool("undo", {})
    tester.mock_tool("book", {})
    book = {"id": "book", "type": "tool", "tool": "book", "compensate": {"tool": "undo"}}
    render = {**RENDER, "compensate": {"tool": "undo"}, "dependencies": ["book"]}
    execution_id = tester.start({"id": "film", "nodes": [book, render, SHOW]}, {"film": "春"})
    tester.cancel(execution_id)
    result = tester.result(execution_id)
    assert result.status == "cancelled"
    assert result.nodes["render"]["status"] == "cancelled"
    assert len(tester.calls("undo")) == 1


def test_a_cancelled_execution_takes_no_token(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(), {"film": "春"})
    tester.cancel(execution_id)
    assert tester.result(execution_id).nodes["render"]["status"] == "cancelled"
    with pytest.raises(RequestError, match="counts no more: the node has ended at 2026"):
        tester.complete_task(execution_id, "render")


def test_a_suspended_execution_holds_what_is_completed(tester: WorkflowTester) -> None:
    execution_id = tester.start(workflow(), {"film": "春"})
    tester.suspend(execution_id)
    tester.complete_task(execution_id, "render", {"url": "x"})
    assert tester.result(execution_id).status == "suspended"
    tester.resume(execution_id)
    assert tester.calls("show")[0].inputs == {"url": "x"}
    assert replay(tester.recording(execution_id)) is None


def test_inside_loops() -> None:
    tester = WorkflowTester.embedded()
    tester.mock_tool("render", {"job": 7})
    loop = {"id": "each", "type": "control", "subtype": "loop", "items": "${films}", "max_concurrency": 2}
    loop["body"] = [{**RENDER, "inputs": {"film": "${item}"}}]
    execution_id = tester.start({"id": "films", "nodes": [loop]}, {"films": ["a", "b"]})
    tester.complete_task(execution_id, "each[1]/render", {"url": "b"})
    tester.complete_task(execution_id, output={"url": "a"})
    assert tester.result(execution_id).output == [{"url": "a"}, {"url": "b"}]
    tester.close()


WORKFLOW = """
workflow:
  id: film
  nodes:
    - {id: render, type: tool, tool: echo, callback: {heartbeat: 10m}}
    - {id: show, type: tool, tool: echo, inputs: {url: "${render.url}"}}
"""
SCENARIOS = """
workflow: ../film.yaml
scenarios:
  - name: it is completed
    events: [{at: 9m, heartbeat: render}, {at: 9m}, {complete: render, output: {url: x}}]
    expect: {status: completed, nodes: {render: {output: {url: x}}}}
  - name: it fails
    events: [{at: 9m, fail: render, error: {type: busy, message: no place}}]
    expect: {status: failed, error: {type: busy, node: render}}
  - {name: silence, events: [{at: 11m}], expect: {status: failed, error: {type: timeout, message: no heartbeat}}}
"""


def scenario(pytester: pytest.Pytester, text: str) -> pytest.RunResult:
    (pytester.path / "film.yaml").write_text(WORKFLOW)
    folder = pytester.path / "scenarios"
    folder.mkdir()
    (folder / "one.yaml").write_text(text)
    return pytester.runpytest_inprocess("-p", "workflow_runtime.testing.plugin", "-p", "no:schemathesis", "-v")


def test_scenarios_complete_and_fail_tasks(pytester: pytest.Pytester) -> None:
    scenario(pytester, SCENARIOS).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{complete: render, fail: render}", "*a step says one of*"),
        ("{send: x, output: 1}", "*`output` goes with `complete`*"),
        ("{complete: show}", "*node 'show' has no attempt yet*"),
    ],
)
def test_a_step_that_is_wrong_is_refused(pytester: pytest.Pytester, step: str, message: str) -> None:
    text = f"{{workflow: ../film.yaml, events: [{step}], expect: {{status: completed}}}}"
    scenario(pytester, text).stdout.fnmatch_lines([message])
