"""Sub-workflows in the test kit: the guide's example, mocks by id, failures, and workflows of a definitions folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflow_runtime.errors import DefinitionError
from workflow_runtime.testing import WorkflowTester, replay

pytest_plugins = ["workflow_runtime.testing.plugin"]

GUIDE = Path("definitions/README.md").read_text("utf-8")
PARENT: dict[str, Any] = {
    "id": "父",
    "nodes": [
        {"id": "扣款", "type": "sub_workflow", "workflow_id": "付款", "inputs": {"amount": "${amount}"}},
        {"id": "后", "type": "control", "subtype": "pass", "inputs": {"got": "${扣款.number}"}},
    ],
}
CHILD: dict[str, Any] = {
    "id": "付款",
    "input_schema": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]},
    "output_schema": {"type": "object", "properties": {"number": {"type": "number"}}, "required": ["number"]},
    "nodes": [{"id": "pay", "type": "tool", "tool": "pay", "inputs": {"amount": "${amount}"}}],
}


def guide_example() -> str:
    chapter = GUIDE.split("## Sub-workflows\n")[1]
    found = re.search(r"```yaml\n(.*?)```", chapter, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def shop(runtime: WorkflowTester) -> WorkflowTester:
    for id, output in (("payment", {"payment": "p${order}"}), ("refund", {"done": True}), ("receipt", None)):
        runtime.mock_workflow(id, output)
    return runtime


def test_the_example_of_the_guide_runs(shop: WorkflowTester) -> None:
    result = shop.run(guide_example(), {"order_id": "7", "total": 9})
    result.assert_completed()
    assert result.nodes["charge"]["output"] == {"payment": "p7"}
    assert set(result.nodes["mail"]["output"]) == {"execution_id"}
    assert [call.inputs for call in shop.calls("receipt")] == [{"payment": "p7"}]
    assert [call.inputs for call in shop.calls("payment")] == [{"order": "7", "amount": 9}]


def test_the_example_of_the_guide_undoes_its_payment(shop: WorkflowTester) -> None:
    shop.fail("receipt")
    execution = shop.start(guide_example(), {"order_id": "7", "total": 9})
    shop.finish(execution).assert_completed()  # nobody waits for the receipt
    document = yaml.safe_load(guide_example())["workflow"]
    ends = {
        "id": "ends",
        "type": "control",
        "subtype": "fail",
        "error": "late",
        "message": "",
        "dependencies": ["mail"],
    }
    result = shop.run({**document, "nodes": [*document["nodes"], ends]}, {"order_id": "7", "total": 9})
    result.assert_failed("late")
    result.assert_compensated("charge")
    assert [call.inputs for call in shop.calls("refund")] == [{"payment": "p7"}]


def test_a_mock_answers_in_the_place_of_a_workflow(runtime: WorkflowTester) -> None:
    runtime.publish(CHILD)
    runtime.mock_workflow("付款", {"number": "${amount + 1}"}, delay=600)
    result = runtime.run(PARENT, {"amount": 4})
    result.assert_completed()
    assert result.nodes["后"]["output"] == {"got": 5}
    assert runtime.calls("pay") == []


def test_mocks_of_a_file_reach_what_an_execution_starts(runtime: WorkflowTester) -> None:
    runtime.publish(CHILD)
    mocks = {"tools": {"pay": {"return": {"number": 8}}}}
    assert runtime.run(PARENT, {"amount": 4}, mocks).nodes["后"]["output"] == {"got": 8}
    script = {"workflows": {"付款": [{"raise": {"type": "busy"}}, {"return": {"number": 9}}]}}
    retried = {"retry_policy": {"max_retries": 1, "retry_delay": "1m"}}
    parent = {**PARENT, "nodes": [{**PARENT["nodes"][0], **retried}, PARENT["nodes"][1]]}
    assert runtime.run(parent, {"amount": 4}, script).nodes["后"]["output"] == {"got": 9}


def test_a_mock_is_held_to_the_schemas_of_the_workflow(runtime: WorkflowTester) -> None:
    runtime.publish(CHILD)
    runtime.mock_workflow("付款", {"wrong": 1})
    runtime.run(PARENT, {"amount": 4}).assert_failed("validation_error", node="扣款")
    runtime.run(PARENT, {"amount": "viel"}).assert_failed("validation_error", node="扣款")


@pytest.mark.parametrize("target", ["付款", "扣款"])
def test_a_sub_workflow_can_be_made_to_fail(runtime: WorkflowTester, target: str) -> None:
    runtime.publish(CHILD)
    runtime.fail(target, "busy", "忙", times=1)
    runtime.mock_tool("pay", {"number": 1})
    runtime.run(PARENT, {"amount": 4}).assert_failed("busy", node="扣款")
    runtime.run(PARENT, {"amount": 4}).assert_completed()
    assert runtime.unmet_failures == []


def test_a_mock_of_what_nothing_starts_is_refused(runtime: WorkflowTester) -> None:
    with pytest.raises(DefinitionError, match="no workflow starts the workflow `付欵`"):
        runtime.run(PARENT, {"amount": 4}, {"workflows": {"付欵": {"return": None}}})


def test_workflows_of_the_definitions_folder_are_published_when_others_start_them(tmp_path: Path) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    for document in (PARENT, CHILD):
        text = yaml.safe_dump({"workflow": document}, allow_unicode=True)
        (folder / f"{document['id']}.yaml").write_text(text, "utf-8")
    with WorkflowTester.embedded(tmp_path) as runtime:
        runtime.mock_tool("pay", {"number": 3})
        assert runtime.run("父", {"amount": 4}).nodes["后"]["output"] == {"got": 3}


@pytest.mark.parametrize("wait", ["1h", None])
def test_a_recording_replays_what_a_workflow_has_undone(runtime: WorkflowTester, wait: str | None) -> None:
    """Undone in the commit in which it ended, and in a later one, which has to read it."""
    runtime.mock_workflow("payment", {"payment": "p1"})
    runtime.mock_workflow("refund")
    document = yaml.safe_load(guide_example())["workflow"]
    charge = document["nodes"][0]
    pause: list[dict[str, Any]] = []
    if wait:
        pause = [{"id": "p", "type": "control", "subtype": "wait", "duration": wait, "dependencies": ["charge"]}]
    after = [node["id"] for node in (pause or [charge])]
    ends = {"id": "e", "type": "control", "subtype": "fail", "error": "late", "message": "", "dependencies": after}
    result = runtime.run({**document, "nodes": [charge, *pause, ends]}, {"order_id": "7", "total": 9})
    result.assert_compensated("charge")
    replay(runtime.recording(result.execution_id))


def test_a_sub_workflow_that_may_fail_does_not_fail_a_dynamic_fan_out(runtime: WorkflowTester) -> None:
    child = {"type": "sub_workflow", "workflow_id": "付款", "inputs": {"amount": "${item}"}, "on_error": "continue"}
    each = {"items": "${list}", "max_concurrency": 0, "body": [{"id": "付", **child}], "collect": "${付.number}"}
    parent = {"id": "父", "nodes": [{"id": "each", "type": "control", "subtype": "loop", **each}]}
    broken = {"match": "amount == 2", "raise": {"type": "declined"}}
    script = {"workflows": {"付款": {"cases": [broken], "default": {"return": {"number": "${amount * 10}"}}}}}
    result = runtime.run(parent, {"list": [1, 2, 3]}, script).assert_completed()
    assert result.output == [10, None, 30]
    children = {result.nodes[f"each[{index}]/付"]["child"] for index in range(3)}
    assert len(children) == 3, "each pass has an execution of its own"
    replay(runtime.recording(result.execution_id))


def test_cancelling_a_loop_cancels_the_executions_of_its_passes(runtime: WorkflowTester) -> None:
    child = {"id": "付款", "nodes": [{"id": "w", "type": "control", "subtype": "wait", "duration": "1d"}]}
    runtime.publish(child)
    body = [{"id": "付", "type": "sub_workflow", "workflow_id": "付款"}]
    each = {"id": "each", "type": "control", "subtype": "loop", "times": 3, "max_concurrency": 2, "body": body}
    execution = runtime.start({"id": "父", "nodes": [each]}, {})
    begun = [runtime.result(execution).nodes[f"each[{index}]/付"]["child"] for index in range(2)]
    runtime.cancel(execution)
    assert runtime.result(execution).status == "cancelled"
    assert [runtime.result(id).status for id in begun] == ["cancelled", "cancelled"]
