"""Attempts after the first and rules for errors, with real workers in virtual time."""

from __future__ import annotations

from typing import Any

from workflow_runtime.errors import NodeError
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

BUSY = {"raise": {"type": "rate_limited", "message": "稍后再试"}}
HUGE = "好" * 40_000


def one(**fields: Any) -> dict[str, Any]:
    return {"id": "一", "nodes": [{"id": "问", "type": "tool", "tool": "ask", "inputs": {"q": "${q}"}, **fields}]}


def test_a_node_is_retried_after_growing_delays(runtime: WorkflowTester) -> None:
    runtime.mock_tool("ask", script=[BUSY, BUSY, {"return": {"a": "${q}"}}])
    policy = {"retry_delay": 60, "max_delay": "10m", "backoff_factor": 10, "jitter": False}
    id = runtime.start(one(retry_policy=policy), {"q": HUGE})
    runtime.settle()
    shown = runtime.result(id).document["node_executions"]["问"]
    assert (shown["status"], shown["waiting_on"], shown["attempts"]) == ("retrying", "retry", 1)
    assert shown["error"] == {"type": "rate_limited", "message": "稍后再试"}
    runtime.advance(seconds=61)
    assert len(runtime.calls("ask")) == 2
    runtime.advance(seconds=590)
    assert len(runtime.calls("ask")) == 2
    runtime.advance(seconds=11)
    result = runtime.result(id)
    result.assert_completed().assert_output({"a": HUGE})
    assert result.document["node_executions"]["问"]["attempts"] == 3
    assert [call.inputs for call in runtime.calls("ask")] == [{"q": HUGE}] * 3, "each attempt sees the same"


def test_an_error_that_asks_for_time_gets_it(runtime: WorkflowTester) -> None:
    def busy(_: Any) -> Any:
        if len(runtime.calls("ask")) < 2:
            raise NodeError("rate_limited", "busy", retry_after=300)
        return {}

    runtime.mock_tool("ask", busy)
    id = runtime.start(one(retry_policy={}), {"q": 1})
    runtime.advance(seconds=299)
    assert runtime.result(id).document["node_executions"]["问"]["status"] == "retrying"
    runtime.advance(seconds=2)
    runtime.result(id).assert_completed()


def test_an_error_that_a_rule_deals_with_is_shown_as_handled(runtime: WorkflowTester) -> None:
    runtime.mock_tool("ask", script=[BUSY])
    result = runtime.finish(runtime.start(one(on_error="continue"), {"q": 1}))
    result.assert_completed()
    shown = result.document["node_executions"]["问"]
    assert (shown["status"], shown["handled"]) == ("failed", True)


def test_every_attempt_has_its_own_timeout(runtime: WorkflowTester) -> None:
    runtime.mock_tool("ask", script=[{"delay": 60}])
    policy = {"max_retries": 2, "retry_delay": 10, "jitter": "none", "backoff": "fixed"}
    id = runtime.start(one(timeout=5, retry_policy=policy), {"q": 1})
    runtime.advance(seconds=120)
    result = runtime.result(id)
    assert result.status == "failed"
    assert result.document["error"]["type"] == "timeout"
    assert result.document["node_executions"]["问"]["attempts"] == 3
