"""Task tokens of nodes in charts, in executions that others await, in the place of others, and in compensations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester, replay

TOOLS = """
from workflow_runtime.errors import NodeError
from workflow_runtime.sdk import NodeContext, pending, tool

@tool
def render(token: str = "", n: int = 0) -> dict:
    return {"job": 7}

@tool
def film(context: NodeContext) -> dict:
    assert context.task_token
    return pending(timeout="2h")

@tool
def broken() -> dict:
    raise NodeError("broken", "no")
"""
RENDER: dict[str, Any] = {
    "id": "render",
    "type": "tool",
    "tool": "render",
    "inputs": {"token": "${task_token}"},
    "callback": {"timeout": "2h", "heartbeat": "10m"},
}
BROKEN = {"id": "b", "type": "tool", "tool": "broken"}
CHART: dict[str, Any] = {
    "id": "chart",
    "type": "state_machine",
    "initial_state": "work",
    "final_states": ["done", "failed", "left"],
    "states": [
        {
            "name": "work",
            "run": [RENDER],
            "on_done": "done",
            "on_error": "failed",
            "transitions": [{"event": "leave", "target": "left"}, {"event": "again", "target": "work"}],
        }
    ],
}
CALLING: dict[str, Any] = {
    "id": "calling",
    "type": "state_machine",
    "initial_state": "asks",
    "final_states": ["left"],
    "states": [
        {
            "name": "asks",
            "on_enter": [{"tool": {"tool": "film", "result": "got"}}],
            "transitions": [{"event": "leave", "target": "left"}],
        }
    ],
}
CHILD: dict[str, Any] = {"id": "child", "nodes": [RENDER]}
PARENT: dict[str, Any] = {
    "id": "parent",
    "nodes": [{"id": "ask", "type": "sub_workflow", "workflow_id": "child", "timeout": "3h"}],
}


@pytest.fixture
def tester(tmp_path: Path) -> Iterator[WorkflowTester]:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "films.py").write_text(TOOLS, encoding="utf-8")
    with WorkflowTester.embedded(tmp_path) as opened:
        opened.publish(CHILD)
        yield opened


def states(tester: WorkflowTester, execution_id: str) -> Any:
    return tester.result(execution_id).document["current_states"]


def refused(tester: WorkflowTester, execution_id: str, path: str) -> None:
    with pytest.raises(RequestError, match="the task token counts no more: the node has ended"):
        tester.complete_task(execution_id, path, {})


# ---- charts


def test_the_graph_of_a_state_waits_for_its_token(tester: WorkflowTester) -> None:
    execution_id = tester.start(CHART)
    assert tester.result(execution_id).nodes["work/render"]["waiting_on"] == "callback"
    tester.complete_task(execution_id, output={"url": "x"})
    assert states(tester, execution_id) == ["done"]
    assert replay(tester.recording(execution_id)) is None


def test_its_failure_and_its_silence_are_errors_of_the_state(tester: WorkflowTester) -> None:
    execution_id = tester.start(CHART)
    tester.fail_task(execution_id, type="busy")
    assert states(tester, execution_id) == ["failed"]
    execution_id = tester.start(CHART)
    tester.advance(minutes=9)
    tester.heartbeat_task(execution_id)
    tester.advance(minutes=9)
    assert states(tester, execution_id) == ["work"]
    tester.advance(minutes=2)
    assert states(tester, execution_id) == ["failed"]
    assert tester.result(execution_id).nodes["work/render"]["error"]["type"] == "timeout"


def test_a_token_ends_with_its_state_and_with_the_visit_of_it(tester: WorkflowTester) -> None:
    execution_id = tester.start(CHART)
    first = tester.task_token(execution_id)
    tester.send_event(execution_id, "again")
    assert tester.task_token(execution_id) != first
    tester.send_event(execution_id, "leave")
    assert states(tester, execution_id) == ["left"]
    assert tester.result(execution_id).nodes["work/render"]["status"] == "cancelled"
    refused(tester, execution_id, "work/render")


def test_a_machine_in_a_graph_waits_for_it(tester: WorkflowTester) -> None:
    box = {"id": "box", **{name: CHART[name] for name in ("type", "initial_state", "final_states", "states")}}
    execution_id = tester.start({"id": "boxed", "nodes": [box]})
    tester.complete_task(execution_id, "box/work/render", {"url": "x"})
    assert tester.result(execution_id).status == "completed"


def test_the_passes_of_a_loop_in_a_state_have_a_token_each(tester: WorkflowTester) -> None:
    loop = {"id": "each", "type": "control", "subtype": "loop", "times": 3, "max_concurrency": 0, "body": [RENDER]}
    chart = {**CHART, "states": [{**CHART["states"][0], "run": [loop]}]}
    execution_id = tester.start(chart)
    for index in (2, 0, 1):
        tester.complete_task(execution_id, f"work/each[{index}]/render", {"n": index})
    assert tester.result(execution_id).nodes["work/each"]["output"] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_tool_that_an_action_calls_may_wait(tester: WorkflowTester) -> None:
    execution_id = tester.start(CALLING)
    tester.complete_task(execution_id, output={"url": "x"})
    assert tester.result(execution_id).document["variables"] == {"got": {"url": "x"}}
    assert replay(tester.recording(execution_id)) is None


@pytest.mark.parametrize("end", ["leave", "cancel"])
def test_what_an_action_called_ends_with_its_state_and_its_execution(tester: WorkflowTester, end: str) -> None:
    execution_id = tester.start(CALLING)
    if end == "leave":
        tester.send_event(execution_id, "leave")
    else:
        tester.cancel(execution_id)
    result = tester.result(execution_id)
    assert result.status == {"leave": "completed", "cancel": "cancelled"}[end]
    assert result.nodes["asks/film"]["status"] == "cancelled"
    refused(tester, execution_id, "asks/film")


# ---- executions that others await


def family(tester: WorkflowTester) -> tuple[str, str]:
    execution_id = tester.start(PARENT)
    return execution_id, tester.result(execution_id).nodes["ask"]["child"]


def test_a_child_waits_for_its_token_and_its_parent_for_the_child(tester: WorkflowTester) -> None:
    parent, child = family(tester)
    assert tester.result(parent).nodes["ask"]["waiting_on"] == "child"
    assert tester.result(child).nodes["render"]["waiting_on"] == "callback"
    tester.complete_task(child, output={"url": "x"})
    assert tester.result(parent).output == {"url": "x"}
    assert replay(tester.recording(parent)) is None
    assert replay(tester.recording(child)) is None


def test_the_failure_of_a_token_travels_up_with_its_cause(tester: WorkflowTester) -> None:
    parent, child = family(tester)
    tester.fail_task(child, type="busy", message="no place")
    error = tester.result(parent).error or {}
    assert (error["type"], error["node"]) == ("busy", "ask")
    assert error["cause"] == {"execution_id": child, "node": "render"}


def test_silence_in_a_child_fails_its_parent(tester: WorkflowTester) -> None:
    parent, _ = family(tester)
    tester.advance(minutes=11)
    assert (tester.result(parent).error or {})["message"] == "its task token had no heartbeat for 600 s"


def test_the_timeout_of_the_parents_node_ends_the_childs_token(tester: WorkflowTester) -> None:
    tester.publish({"id": "child", "nodes": [{**RENDER, "callback": {"timeout": "1d"}}]})
    parent, child = family(tester)
    tester.advance(hours=4)
    assert (tester.result(parent).error or {})["type"] == "timeout"
    assert tester.result(child).status == "cancelled"
    refused(tester, child, "render")


def test_a_cancelled_parent_ends_the_token_and_a_retry_asks_under_another(tester: WorkflowTester) -> None:
    parent, child = family(tester)
    first = tester.task_token(child)
    tester.cancel(parent)
    refused(tester, child, "render")
    tester.retry(parent)
    assert tester.task_token(child) != first
    tester.complete_task(child, output={"url": "y"})
    assert tester.result(parent).output == {"url": "y"}


def test_a_suspended_parent_has_its_child_hold_what_is_completed(tester: WorkflowTester) -> None:
    parent, child = family(tester)
    tester.suspend(parent)
    tester.complete_task(child, "render", {"url": "z"})
    assert tester.result(child).nodes["render"]["status"] == "running"
    tester.resume(parent)
    assert tester.result(parent).output == {"url": "z"}


def test_passes_in_executions_of_their_own_have_a_token_each(tester: WorkflowTester) -> None:
    body = [{**RENDER, "inputs": {"token": "${task_token}", "n": "${item}"}}]
    loop = {"id": "each", "type": "control", "subtype": "loop", "items": "${xs}", "body": body}
    workflow = {"id": "wide", "nodes": [{**loop, "distribution": "executions", "max_concurrency": 0}]}
    execution_id = tester.start(workflow, {"xs": [4, 5]})
    (child,) = {call.execution_id for call in tester.calls("render")}
    assert child != execution_id
    for index, n in ((1, 5), (0, 4)):
        tester.complete_task(child, f"each[{index}]/render", {"n": n})
    assert tester.result(execution_id).output == [{"n": 4}, {"n": 5}]


# ---- in the place of others, and undoing them


@pytest.mark.parametrize(
    ("fallback", "path"), [({"tool": "film"}, "b~fallback"), ("render", "render")], ids=["inline", "by id"]
)
def test_what_runs_in_the_place_of_a_node_waits_for_its_token(tester: WorkflowTester, fallback: Any, path: str) -> None:
    nodes = [{**BROKEN, "fallback": fallback}, *([RENDER] if fallback == "render" else [])]
    execution_id = tester.start({"id": "w", "nodes": nodes})
    assert tester.result(execution_id).nodes[path]["waiting_on"] == "callback"
    tester.complete_task(execution_id, output={"url": "x"})
    assert tester.result(execution_id).nodes["b"]["output"] == {"url": "x"}


@pytest.mark.parametrize(
    ("compensate", "path"), [({"tool": "film"}, "a~compensate"), ("render", "render")], ids=["inline", "by id"]
)
def test_a_compensation_waits_for_its_token(tester: WorkflowTester, compensate: Any, path: str) -> None:
    booked = {"id": "a", "type": "tool", "tool": "echo", "compensate": compensate}
    nodes = [booked, {**BROKEN, "dependencies": ["a"]}, *([RENDER] if compensate == "render" else [])]
    execution_id = tester.start({"id": "w", "nodes": nodes})
    assert tester.result(execution_id).status == "compensating"
    tester.complete_task(execution_id, path, {"url": "x"})
    result = tester.result(execution_id)
    assert (result.status, result.document["compensation"]) == ("failed", "completed")
    assert result.nodes["a"]["status"] == "compensated"
    assert replay(tester.recording(execution_id)) is None


def test_a_compensation_that_is_silent_has_failed(tester: WorkflowTester) -> None:
    booked = {"id": "a", "type": "tool", "tool": "echo", "compensate": {"tool": "film"}}
    execution_id = tester.start({"id": "w", "nodes": [booked, {**BROKEN, "dependencies": ["a"]}]})
    tester.advance(hours=3)
    document = tester.result(execution_id).document
    assert document["compensation"] == "failed"
    assert document["compensations"][0]["error"]["type"] == "timeout"
