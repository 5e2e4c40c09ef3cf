"""The test kit at work: what the fixtures offer, and what their assertions say when they fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.errors import DefinitionError, NodeError, RequestError
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

TWO: dict[str, Any] = {
    "id": "两步",
    "nodes": [
        {"id": "ask", "type": "agent", "agent": "asker", "inputs": {"q": "${question}"}},
        {"id": "tell", "type": "tool", "tool": "echo", "inputs": {"text": "${ask.answer}"}},
    ],
    "outputs": {"text": "${tell.text}"},
}
FORKED: dict[str, Any] = {
    "id": "forked",
    "nodes": [
        {"id": "left", "type": "tool", "tool": "echo"},
        {"id": "right", "type": "tool", "tool": "echo"},
        {"id": "end", "type": "tool", "tool": "echo", "dependencies": ["left", "right"]},
    ],
}


def message_of(assertion: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion(*arguments, **named)
    return str(caught.value)


def test_a_run_with_a_mocked_agent_completes(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", {"answer": "${q}？好的"})
    result = runtime.run(TWO, {"question": "可以吗"})
    result.assert_completed().assert_path(["ask", "tell"]).assert_output({"text": "可以吗？好的"})
    assert [call.inputs for call in runtime.calls("asker")] == [{"q": "可以吗"}]


def test_a_mock_may_be_a_function_and_its_result_is_taken_as_it_is(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", lambda inputs: {"answer": "${" + inputs["q"] + "}"})
    assert runtime.run(TWO, {"question": "x"}).output == {"text": "${x}"}

    def refuse(inputs: dict[str, Any]) -> Any:
        raise NodeError("budget_exceeded", str(inputs))

    runtime.mock_agent("asker", refuse)
    runtime.run(TWO, {"question": "x"}).assert_failed(type="budget_exceeded", node="ask")


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError(), ValueError("bad")])
def test_whatever_a_mock_raises_fails_the_node(runtime: WorkflowTester, error: BaseException) -> None:
    def answer(_: dict[str, Any]) -> Any:
        raise error

    runtime.mock_agent("asker", answer)
    runtime.run(TWO, {"question": ""}).assert_failed(type="execution_error", message=type(error).__name__, node="ask")
    runtime.mock_agent("asker", {"answer": "x"})
    runtime.run(TWO, {"question": ""}).assert_completed()


@pytest.mark.parametrize("value", [float("nan"), b"x", {1: 2}, 2**64, "\ud83d"])
def test_a_mocks_result_that_is_no_json_fails_the_node(runtime: WorkflowTester, value: Any) -> None:
    runtime.mock_agent("asker", lambda _: {"answer": value})
    message = "the mock of 'asker' did not return JSON: answer "
    runtime.run(TWO, {"question": ""}).assert_failed(type="validation_error", message=message, node="ask")
    with pytest.raises(DefinitionError, match=r"asker\.return\.answer"):
        runtime.mock_agent("asker", {"answer": value})


def test_an_agent_without_a_mock_fails_and_says_how_to_mock_it(runtime: WorkflowTester) -> None:
    runtime.run(TWO).assert_failed(type="not_found", message="runtime.mock_agent('asker'", node="ask")


def test_mocks_of_a_run_hold_for_that_run_only(runtime: WorkflowTester) -> None:
    mocks = {"agents": {"asker": {"return": {"answer": "a"}}}}
    runtime.run(TWO, mocks=mocks).assert_output({"text": "a"})
    runtime.run("两步").assert_failed(type="not_found")


def test_a_node_can_be_made_to_fail(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", {"answer": "a"})
    runtime.fail("tell", "timeout", "没有回答", times=1)
    assert runtime.unmet_failures == ["tell"]
    runtime.run(TWO).assert_failed(type="timeout", message="没有", node="tell")
    runtime.run(TWO).assert_completed()
    assert runtime.unmet_failures == []


def test_time_passes_only_when_it_is_let(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", {"answer": "late"}, delay=600)
    begun = runtime.now
    execution_id = runtime.start(TWO)
    assert runtime.result(execution_id).status == "running"
    runtime.advance(minutes=9)
    assert runtime.result(execution_id).nodes["ask"]["status"] == "running"
    assert (runtime.now - begun).total_seconds() == 540
    runtime.advance(hours=24)
    runtime.result(execution_id).assert_completed()
    assert (runtime.now - begun).total_seconds() == 540 + 24 * 3600


def test_a_run_takes_the_time_it_needs_and_leaves_others_under_way(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", {"answer": "late"}, delay=600)
    runtime.mock_tool("echo", {"text": "quick"}, delay=5)
    slow = runtime.start(TWO)
    begun = runtime.now
    runtime.run(FORKED).assert_completed().assert_path([["right", "left"], "end"])
    assert (runtime.now - begun).total_seconds() == 10
    assert runtime.result(slow).status == "running"
    runtime.finish(slow).assert_completed()


def test_the_events_on_the_bus_are_seen(runtime: WorkflowTester) -> None:
    runtime.run(FORKED)
    assert [event["detail-type"] for event in runtime.events] == ["execution.started", "execution.completed"]


def test_a_workflow_of_the_definitions_directory_runs_by_its_id(runtime: WorkflowTester) -> None:
    mocks = Path(__file__).parents[3] / "definitions" / "mocks" / "parallel_research.yaml"
    runtime.run("parallel_research", {"topic": "电动车"}, mocks).assert_output({"conclusion": "支持"}, partial=True)
    with pytest.raises(RequestError, match="no workflow 'nobody'"):
        runtime.run("nobody")


def test_the_aws_adapters_run_the_same_workflow(aws_runtime: WorkflowTester) -> None:
    aws_runtime.mock_agent("asker", {"answer": "a"})
    aws_runtime.run(TWO).assert_completed().assert_path(["ask", "tell"]).assert_output({"text": "a"})
    with pytest.raises(RuntimeError, match="real time"):
        aws_runtime.advance(hours=1)


def test_a_wrong_status_shows_what_every_node_did(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", {"answer": "a"})
    runtime.fail("tell", "timeout", "no answer")
    text = message_of(runtime.run(TWO).assert_completed)
    assert text.startswith("expected the execution to be completed, it is failed\nexecution ex-")
    assert "of '两步': failed, timeout: no answer\n" in text
    assert text.endswith('\n  ask   success  {"answer":"a"}\n  tell  failed  timeout: no answer')


def test_a_wrong_path_names_what_did_not_run_and_what_did(runtime: WorkflowTester) -> None:
    result = runtime.run(FORKED)
    text = message_of(result.assert_path, ["left", "other", "end"])
    assert "  expected: left → other → end\n  ran:      left → right → end\n" in text
    assert "  did not run: other\n  ran unexpectedly: right\n" in text
    assert "the order differs from step 1 on" in message_of(result.assert_path, ["right", "left", "end"])
    assert "expected: {left, right}" in message_of(result.assert_path, [{"right", "left"}])
    assert "the order differs" not in message_of(result.assert_path, ["left"])


def test_a_wrong_output_names_each_place_that_differs(runtime: WorkflowTester) -> None:
    runtime.mock_agent("asker", {"answer": {"list": [1, 2], "flag": True, "more": None}})
    definition = {**TWO, "outputs": {"all": "${ask.answer}"}}
    text = message_of(runtime.run(definition).assert_output, {"all": {"list": [1, 3, 5], "flag": 1, "gone": "x"}})
    assert text.startswith("the output differs\n")
    for line in (
        "$.all.list[1]: expected 3, is 2",
        "$.all.list: expected 3 elements, has 2",
        "$.all.flag: expected 1, is true",
        '$.all.gone: expected "x", is missing',
        "$.all.more: not expected, is null",
    ):
        assert f"\n  {line}\n" in text


def test_wrong_nodes_and_errors_are_told(runtime: WorkflowTester) -> None:
    result = runtime.run(FORKED)
    assert "end: expected skipped, is success" in message_of(result.assert_skipped, "end")
    assert "the workflow has no node 'nobody'" in message_of(result.assert_skipped, "nobody")
    assert "end.attempts: expected 3, is 1" in message_of(result.assert_node, "end", attempts=3)
    runtime.fail("end", "timeout", "slow")
    failed = runtime.run("forked")
    text = message_of(failed.assert_failed, type="rejected", message="quick", node="left")
    assert 'error type: expected "rejected", is "timeout"' in text
    assert 'error message: expected it to contain "quick", is "slow"' in text
    assert 'error node: expected "left", is "end"' in text


def test_time_cannot_go_back(runtime: WorkflowTester) -> None:
    with pytest.raises(ValueError, match="forward"):
        runtime.advance(hours=-1)


def refusal(runtime: WorkflowTester, *, mocks: Any = None) -> list[tuple[str, str]]:
    with pytest.raises(DefinitionError) as caught:
        runtime.start(TWO, {"question": "?"}, mocks=mocks)
    return [(finding.message, finding.hint) for finding in caught.value.findings]


def test_a_mock_or_failure_of_what_does_not_exist_is_an_error_with_the_likely_name(runtime: WorkflowTester) -> None:
    runtime.mock_agent("askre", {"answer": "x"})
    runtime.mock_tool("asker", {"answer": "x"})
    runtime.mock_tool("eco", lambda inputs: inputs)
    runtime.fail("tel")
    found = dict(refusal(runtime))
    assert found == {
        "no workflow calls the agent `askre`, and it is not registered": "Did you mean `asker`?",
        "no workflow calls the tool `asker`, and it is not registered": "`asker` is an agent: write it below `agents`.",
        "no workflow calls the tool `eco`, and it is not registered": "Did you mean `echo`?",
        "`tel`, which is to fail, is not an agent, tool or workflow, nor a node that calls one": "Did you mean `tell`?",
    }


def test_a_misspelled_mock_of_a_file_is_found_where_it_stands(runtime: WorkflowTester, tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text("agents:\n  asker: {return: {answer: x}}\n  teller: {return: 1}\n", "utf-8")
    with pytest.raises(DefinitionError) as caught:
        runtime.start(TWO, {"question": "?"}, mocks=file)
    [finding] = caught.value.findings
    assert (finding.id, finding.file, finding.line, finding.path) == ("WF607", str(file), 3, "agents.teller")


def test_mocks_and_failures_may_name_what_another_published_workflow_calls(runtime: WorkflowTester) -> None:
    runtime.publish({"id": "other", "nodes": [{"id": "x", "type": "agent", "agent": "${a}", "allow": ["one", "two"]}]})
    runtime.mock_agent("asker", {"answer": "x"})
    runtime.mock_agent("two", 1)
    runtime.fail("x")
    runtime.fail("http_request")
    assert runtime.run(TWO, {"question": "?"}).status == "completed"
