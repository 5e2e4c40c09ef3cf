"""Fallbacks and handlers with real workers in virtual time: records, documents, large values, compensation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

HUGE = "长" * 400_000
RETRY = {"type": "retry", "max_retries": 2, "retry_delay": "1m"}


def tool(id: str, *after: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": id, "dependencies": list(after), **fields}


def flow(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "流程", "nodes": list(nodes), **fields}


@pytest.mark.parametrize("text", ["kurz", HUGE])
def test_the_output_of_a_fallback_is_recorded_for_both(runtime: WorkflowTester, text: str) -> None:
    primary = tool("主", inputs={"q": "${q}"}, fallback={"tool": "备", "inputs": {"q": "${q}", "n": 2}})
    runtime.fail("主", "rate_limited", "busy")
    runtime.mock_tool("备", {"text": text})
    runtime.mock_tool("后", {"ok": True})
    result = runtime.run(flow(primary, tool("后", "主", inputs={"t": "${主.text}"})), {"q": "问"})
    result.assert_completed()
    entry = result.nodes["主"]
    assert (entry["status"], entry["fallback_used"], entry["error"]) == ("success", True, None)
    assert entry["output"] == result.nodes["主~fallback"]["output"] == {"text": text}
    assert [call.inputs for call in runtime.calls("备")] == [{"q": "问", "n": 2}]
    assert [call.inputs for call in runtime.calls("后")] == [{"t": text}]


def test_a_fallback_that_was_not_needed_is_not_shown(runtime: WorkflowTester) -> None:
    runtime.mock_tool("主", {"v": 1})
    result = runtime.run(flow(tool("主", fallback={"tool": "备"})), {})
    assert list(result.nodes) == ["主"]
    assert result.nodes["主"]["fallback_used"] is False


def test_both_errors_are_shown_when_the_fallback_fails_too(runtime: WorkflowTester) -> None:
    runtime.fail("主", "own", "第一")
    runtime.fail("备", "other", "第二")
    result = runtime.run(flow(tool("主", fallback={"tool": "备"})), {})
    result.assert_failed("own", node="主")
    entry = result.nodes["主"]
    assert entry["error"] == {"type": "own", "message": "第一"}
    assert (entry["fallback_error"]["type"], entry["fallback_error"]["message"]) == ("other", "第二")


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("kind", ["tool", "wait"])
def test_the_time_of_a_node_is_that_of_its_newest_attempt_and_of_its_fallback(
    runtime: WorkflowTester, kind: str, saved: bool
) -> None:
    retry = {"max_retries": 1, "retry_delay": "10s", "jitter": False}
    primary = tool("主", timeout="3s", retry_policy=retry, fallback={"tool": "备"})
    if kind == "wait":
        waiting = {"type": "control", "subtype": "wait", "event": "never"}
        primary = {key: value for key, value in primary.items() if key != "tool"} | waiting
    else:
        runtime.mock_tool("主", {}, delay=60)
    runtime.mock_tool("备", {}, delay=2 if saved else 60)
    result = runtime.run(flow(primary), {})
    entry = result.nodes["主"]
    assert (entry["attempts"], entry["fallback_used"]) == (2, saved)
    start = datetime.fromisoformat(result.document["started_at"])
    times = [(datetime.fromisoformat(entry[name]) - start).total_seconds() for name in ("started_at", "ended_at")]
    assert times == [13, 18 if saved else 19]


def test_a_named_fallback_reads_the_error_and_what_the_node_was_given(runtime: WorkflowTester) -> None:
    before = tool("先")
    primary = tool("主", "先", inputs={"大": "${先.text}", "k": "${input.k}"}, fallback="备")
    spare = tool("备", inputs={"why": "${error.message}", "was": "${inputs}"})
    runtime.mock_tool("先", {"text": HUGE})
    runtime.fail("主", "own", "不行")
    runtime.mock_tool("备", {"v": 1})
    runtime.run(flow(before, primary, spare), {"k": 7}).assert_completed()
    assert [call.inputs for call in runtime.calls("备")] == [{"why": "不行", "was": {"大": HUGE, "k": 7}}]


def test_what_a_fallback_did_is_undone_with_the_inputs_that_the_node_had(runtime: WorkflowTester) -> None:
    undo = {"tool": "撤", "inputs": {"q": "${inputs.q}", "out": "${output.v}"}}
    primary = tool("主", inputs={"q": 5}, fallback={"tool": "备"}, compensate=undo)
    runtime.fail("主")
    runtime.mock_tool("备", {"v": 6})
    runtime.fail("后", "declined", "no")
    runtime.mock_tool("撤", {})
    result = runtime.run(flow(primary, tool("后", "主")), {})
    result.assert_failed("declined").assert_compensated("主")
    assert [call.inputs for call in runtime.calls("撤")] == [{"q": 5, "out": 6}]


def test_a_fallback_with_a_compensation_of_its_own_is_undone_by_that(runtime: WorkflowTester) -> None:
    primary = tool("主", fallback="备", compensate={"tool": "撤主"})
    runtime.fail("主")
    runtime.mock_tool("备", {"v": 6})
    runtime.fail("后", "declined", "no")
    runtime.mock_tool("撤备", {})
    result = runtime.run(flow(primary, tool("备", compensate={"tool": "撤备"}), tool("后", "主")), {})
    result.assert_failed("declined").assert_compensated("备")
    assert not runtime.calls("撤主")


def test_handlers_deal_with_what_no_node_has(runtime: WorkflowTester) -> None:
    handlers = [
        {
            "node_pattern": "取.*",
            "errors": ["busy"],
            "action": {"type": "retry", "max_retries": 2, "retry_delay": "1m"},
        },
        {"node_pattern": "取.*", "action": "continue"},
    ]
    runtime.fail("取价", "busy", "忙")
    runtime.mock_tool("后", {})
    result = runtime.run(flow(tool("取价"), tool("后", "取价"), error_handlers=handlers), {})
    result.assert_completed()
    assert (result.nodes["取价"]["attempts"], result.nodes["取价"]["handled"]) == (3, True)


def test_a_handler_may_undo_what_the_workflow_would_leave(runtime: WorkflowTester) -> None:
    runtime.mock_tool("订", {})
    runtime.mock_tool("撤", {})
    runtime.fail("付", "declined", "no")
    nodes = (tool("订", compensate={"tool": "撤"}), tool("付", "订"))
    fields = {"compensation": {"on": ["cancel"]}}
    runtime.run(flow(*nodes, **fields), {}).assert_failed("declined").assert_compensated()
    handler = {"errors": ["declined"], "action": "compensate"}
    result = runtime.run(flow(*nodes, error_handlers=[handler], **fields), {})
    result.assert_failed("declined").assert_compensated("订")
