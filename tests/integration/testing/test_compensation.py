"""Compensation with real workers in virtual time: what people see of it, and what compensations are told."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

HUGE = "房" * 40_000
DECLINED = {"raise": {"type": "declined", "message": "余额不足"}}


def trip(**fields: Any) -> dict[str, Any]:
    def booking(id: str, *after: str) -> dict[str, Any]:
        undo = {"tool": f"取消{id}", "inputs": {"号": "${output.号}", "谁": "${inputs.谁}", "why": "${error.type}"}}
        return {"id": id, "type": "tool", "tool": id, "inputs": {"谁": "${谁}"}, "dependencies": list(after),
                "compensate": undo}  # fmt: skip

    pay = {"id": "付款", "type": "tool", "tool": "付款", "dependencies": ["酒店"]}
    return {"id": "旅行", "nodes": [booking("机票"), booking("酒店", "机票"), pay], **fields}


def ready(runtime: WorkflowTester) -> None:
    for number, id in enumerate(("机票", "酒店")):
        runtime.mock_tool(id, {"号": number})
        runtime.mock_tool(f"取消{id}", {"ok": True})
    runtime.mock_tool("付款", script=[DECLINED])


def test_a_failure_undoes_and_the_document_tells_of_it(runtime: WorkflowTester) -> None:
    ready(runtime)
    result = runtime.run(trip(), {"谁": HUGE})
    result.assert_failed("declined", node="付款").assert_compensated("酒店", "机票")
    assert result.compensation == "completed"
    assert result.path == ("机票", "酒店", "付款", "酒店~compensate", "机票~compensate")
    result.assert_node("机票", status="compensated", output={"号": 0}).assert_node("机票~compensate", status="success")
    assert [call.inputs for call in runtime.calls("取消机票")] == [{"号": 0, "谁": HUGE, "why": "declined"}]
    entry = result.compensations[0]
    assert entry.keys() == {"node", "path", "status", "attempts", "error", "started_at", "ended_at"}
    assert (entry["node"], entry["path"], entry["attempts"]) == ("酒店", "酒店~compensate", 1)
    told = [event["detail-type"] for event in runtime.events if event["detail-type"].startswith("execution.")]
    assert told == ["execution.started", "execution.compensating", "execution.failed"]


def test_a_compensation_that_fails_is_shown_and_the_others_are_undone(runtime: WorkflowTester) -> None:
    ready(runtime)
    runtime.fail("取消酒店", "gone", "没有这个号")
    result = runtime.run(trip(), {"谁": "安"})
    result.assert_failed("declined").assert_compensated("机票")
    assert result.compensation == "failed"
    assert result.compensations[0]["status"] == "failed"
    assert result.compensations[0]["error"] == {"type": "gone", "message": "没有这个号"}
    result.assert_node("酒店", status="success").assert_node("机票", status="compensated")


def test_cancelling_undoes_and_a_second_cancel_is_refused_meanwhile(runtime: WorkflowTester) -> None:
    ready(runtime)
    runtime.mock_tool("付款", {}, delay=3600)
    runtime.mock_tool("取消酒店", {}, delay=60)
    id = runtime.start(trip(), {"谁": "安"})
    runtime.advance(seconds=10)
    runtime.cancel(id, "改主意了", settle=False)
    shown = runtime.result(id)
    shown.assert_status("compensating").assert_node("酒店", status="success")
    assert [entry["status"] for entry in shown.compensations] == ["running", "waiting"]
    with pytest.raises(RequestError) as refused:
        runtime.cancel(id, settle=False)
    assert refused.value.code == "refused"
    result = runtime.finish(id)
    result.assert_status("cancelled").assert_compensated("酒店", "机票")
    assert runtime.calls("取消机票")[0].inputs["why"] == "cancelled"


def test_a_running_node_is_told_and_awaited_and_its_success_is_undone(runtime: WorkflowTester) -> None:
    ready(runtime)
    runtime.mock_tool("酒店", {"号": 7}, delay=70)
    id = runtime.start(trip(), {"谁": "安"})
    runtime.advance(seconds=5)
    runtime.cancel(id, settle=False)
    runtime.result(id).assert_status("compensating")
    assert not runtime.calls("取消机票")
    result = runtime.finish(id)
    result.assert_status("cancelled").assert_compensated("酒店", "机票")
    assert runtime.calls("取消酒店")[0].inputs["号"] == 7


def test_a_running_node_is_awaited_for_two_minutes_at_most(runtime: WorkflowTester) -> None:
    ready(runtime)
    runtime.mock_tool("酒店", {"号": 7}, delay=600)
    id = runtime.start(trip(), {"谁": "安"})
    runtime.advance(seconds=5)
    runtime.cancel(id, settle=False)
    runtime.advance(seconds=125)
    result = runtime.finish(id)
    result.assert_status("cancelled").assert_compensated("机票").assert_node("酒店", status="cancelled")
    assert not runtime.calls("取消酒店")


def test_the_timeout_of_the_workflow_does_not_bound_its_compensation(runtime: WorkflowTester) -> None:
    ready(runtime)
    runtime.mock_tool("付款", {}, delay=3600)
    runtime.mock_tool("取消酒店", {}, delay=300)
    result = runtime.run(trip(timeout="60s"), {"谁": "安"})
    result.assert_failed("timeout").assert_compensated("酒店", "机票")


def test_a_machine_records_what_it_began_with_however_large(runtime: WorkflowTester) -> None:
    machine = {
        "id": "m", "type": "state_machine", "inputs": {"谁": "${谁}"}, "initial_state": "s", "final_states": ["e"],
        "states": [{"name": "s", "always": [{"target": "e"}]}], "outputs": {"n": 1},
        "compensate": {"tool": "b", "inputs": {"谁": "${inputs.谁}", "n": "${output.n}"}},
    }  # fmt: skip
    runtime.mock_tool("b", {})
    fail = {"id": "f", "type": "control", "subtype": "fail", "error": "x", "message": "m", "dependencies": ["m"]}
    result = runtime.run({"id": "w", "nodes": [machine, fail]}, {"谁": HUGE})
    result.assert_compensated("m").assert_node("m", status="compensated")
    assert runtime.calls("b")[0].inputs == {"谁": HUGE, "n": 1}


def test_a_node_of_the_graph_that_undoes_has_one_entry(runtime: WorkflowTester) -> None:
    nodes = [
        {"id": "a", "type": "tool", "tool": "a", "compensate": "undo"},
        {"id": "f", "type": "control", "subtype": "fail", "error": "x", "message": "m", "dependencies": ["a"]},
        {"id": "undo", "type": "tool", "tool": "b", "inputs": {"n": "${a.n}"}},
    ]
    runtime.mock_tool("a", {"n": 5})
    runtime.mock_tool("b", {})
    result = runtime.run({"id": "w", "nodes": nodes}, {})
    result.assert_compensated("a").assert_node("undo", status="success")
    assert list(result.nodes) == ["a", "f", "undo"]
    assert runtime.calls("b")[0].inputs == {"n": 5}
    ok = runtime.run({"id": "w2", "nodes": [nodes[0], nodes[2]]}, {})
    ok.assert_completed().assert_node("undo", status="skipped").assert_output({"n": 5})
    assert ok.compensation is None
    assert ok.compensations == []
