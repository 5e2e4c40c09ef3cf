"""Loops whose passes run in executions of their own: one output, one count of failures, one end."""

from __future__ import annotations

from typing import Any

from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.language.json_values import Json
from workflow_runtime.testing import Result, WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

WORK = {"id": "work", "type": "tool", "tool": "work", "inputs": {"x": "${item}", "i": "${index}"}}


def each(*body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    fields = {"items": "${input.xs}", "max_concurrency": 0, **fields}
    return {"id": "各", "type": "control", "subtype": "loop", "distribution": "executions", "body": [*body], **fields}


def played(runtime: WorkflowTester, *nodes: dict[str, Any], count: int, work: Json, **fields: Any) -> Result:
    workflow = {"workflow": {"id": "分", "nodes": [*nodes], **fields}}
    return runtime.run(workflow, {"xs": [*range(count)], "k": 10}, mocks={"tools": {"work": work}})


def parts_of(result: Result, count: int, serial: int = 1) -> list[str]:
    orders = [f"各[{n}]#{serial}" for n in range(count)]
    return [child_execution_id(result.execution_id, order, "分") for order in orders]


def test_3500_items_run_in_four_executions_and_come_back_in_order(runtime: WorkflowTester) -> None:
    before = {"id": "前", "type": "control", "subtype": "pass", "inputs": {"k": "${input.k}"}}
    work = {**WORK, "inputs": {**WORK["inputs"], "k": "${前.k}"}}
    after = {"id": "后", "type": "control", "subtype": "pass", "inputs": {"n": "${len(各)}", "last": "${各[3499]}"}}
    result = played(runtime, before, each(work), after, count=3_500, work={"return": ["${x * k}", "${i}"]})
    assert result.status == "completed", result.error
    assert result.nodes["各"]["output"] == [[x * 10, x] for x in range(3_500)]
    assert result.output == {"n": 3_500, "last": [34_990, 3_499]}
    assert result.nodes["各"]["passes"] == {
        "total": 3_500,
        "done": 3_500,
        "succeeded": 3_500,
        "failed": 0,
        "running": 0,
    }
    documents = [runtime.result(id).document for id in parts_of(result, 4)]
    assert [len(document["output"]) for document in documents] == [1_000, 1_000, 1_000, 500]
    assert {document["parent"]["execution_id"] for document in documents} == {result.execution_id}


def test_failures_are_tolerated_over_the_whole(runtime: WorkflowTester) -> None:
    fails = {"cases": [{"match": "x % 1000 == 7", "raise": {"type": "refused", "message": "no"}}],
             "default": {"return": "${x}"}}  # fmt: skip
    result = played(runtime, each(WORK, tolerated_failures=3), count=2_010, work=fails)
    assert result.status == "completed", result.error
    assert result.output == [x for x in range(2_010) if x % 1_000 != 7]
    assert result.nodes["各"]["passes"]["failed"] == 3
    result = played(runtime, each(WORK, tolerated_failures=2), count=2_010, work=fails)
    assert (result.status, result.error["message"]) == ("failed", "3 passes have failed, and 2 may")
