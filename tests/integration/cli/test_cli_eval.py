"""`awr eval`: datasets of pydantic-evals on workflows, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cli.conftest import Awr, only_document
from tests.model_server import ModelServer, Reply, Request, calls, serving, text

TOOLS = '''
from workflow_runtime.sdk import tool

@tool(effects="none")
def find(order: str) -> dict[str, object]:
    """Find an order."""
    if order == "none":
        raise ValueError("no such order")
    return {"order": order}

@tool
def tell(text: str) -> str:
    """Tell the customer."""
    return f"told {text}"
'''
WORKFLOW = """
workflow:
  id: desk
  type: dag
  input_schema: {type: object, required: [order]}
  nodes:
    - {id: handle, type: agent, agent: desk, inputs: {order: "${order}"}}
    - {id: tell, type: tool, tool: tell, dependencies: [handle], inputs: {text: "${handle}"}}
  outputs: {told: "${tell}"}
"""
WAITING = "workflow: {id: waiting, type: dag, nodes: [{id: w, type: control, subtype: wait, event: go}]}\n"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


Suite = Callable[..., Path]


@pytest.fixture
def suite(tmp_path: Path, server: ModelServer) -> Suite:
    """A suite of these cases and evaluators, on a project with an agent at the server."""
    definitions = tmp_path / "definitions"
    for folder in ("agents", "tools", "workflows"):
        (definitions / folder).mkdir(parents=True)
    (definitions / "tools" / "desk.py").write_text(TOOLS, "utf-8")
    (definitions / "workflows" / "desk.yaml").write_text(WORKFLOW, "utf-8")
    (definitions / "workflows" / "waiting.yaml").write_text(WAITING, "utf-8")
    agent = {"id": "desk", "model": "openai:m", "base_url": server.url, "tools": ["find"]}
    (definitions / "agents" / "desk.yaml").write_text(yaml.safe_dump(agent), "utf-8")

    def made(cases: list[dict[str, Any]], evaluators: list[Any], **more: Any) -> Path:
        file = tmp_path / "suite.yaml"
        content = {"workflow": "desk", "cases": cases, "evaluators": evaluators, **more}
        file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
        return file

    return made


def desk(request: Request) -> Reply:
    answered = [message for message in request["messages"] if message["role"] == "tool"]
    if answered:
        return text("好")
    order = json.loads(request["messages"][-1]["content"])["order"]
    return calls(("find", {"order": order}))


def test_evaluators_see_the_output_and_the_calls_of_agents_and_nodes(
    server: ModelServer, suite: Suite, awr: Awr
) -> None:
    server.answer(desk)
    trajectory = {"TrajectoryMatch": {"expected_trajectory": ["find", "tell"]}}
    arguments = {"ArgumentCorrectness": {"tool_name": "find", "expected_arguments": {"order": "A-1"}}}
    evaluators = ["EqualsExpected", trajectory, arguments, {"MaxToolCalls": 2}, {"MaxModelRequests": 2}]
    file = suite([{"name": "one", "inputs": {"order": "A-1"}, "expected_output": {"told": "told 好"}}], evaluators)
    found = awr("eval", file, "--json")
    report = only_document(found.stdout)
    assert found.exit_code == 0, report
    (case,) = report["cases"]
    assert [result["value"] for result in case["results"] if isinstance(result["value"], bool)].count(False) == 0
    assert case["metrics"]["requests"] == 2
    assert case["metrics"]["input_tokens"] == 20


def test_a_call_that_failed_is_no_call_that_was_made(server: ModelServer, suite: Suite, awr: Awr) -> None:
    server.answer(desk)
    evaluators = [{"ToolCorrectness": {"expected_tools": ["find", "tell"]}}]
    found = awr("eval", suite([{"name": "one", "inputs": {"order": "none"}}], evaluators))
    assert found.exit_code == 3
    assert "✗ one" in found.stdout


def test_mocks_answer_and_each_case_is_an_execution_of_its_own(suite: Suite, tmp_path: Path, awr: Awr) -> None:
    (tmp_path / "mocks.yaml").write_text("agents: {desk: [{return: first}, {return: second}]}\n", "utf-8")
    cases = [{"name": str(n), "inputs": {"order": "x"}, "expected_output": {"told": "told first"}} for n in range(8)]
    found = awr("eval", suite(cases, ["EqualsExpected"], mocks="mocks.yaml"))
    assert found.exit_code == 0, found.stdout
    assert "8 of 8 cases hold" in found.stdout


def test_a_case_without_an_output_fails_and_says_why(suite: Suite, tmp_path: Path, awr: Awr) -> None:
    (tmp_path / "mocks.yaml").write_text("agents: {desk: {raise: {type: refused, message: no}}}\n", "utf-8")
    file = suite([{"name": "one", "inputs": {"order": "x"}}, {"name": "two", "inputs": {}}], [], mocks="mocks.yaml")
    found = awr("eval", file)
    assert found.exit_code == 3
    assert "refused at handle: no" in found.stdout
    assert "required property" in found.stdout
    waiting = awr("eval", suite([{"name": "one", "inputs": {}}], [], workflow="waiting"))
    assert "waits for something outside: w (event)" in waiting.stdout


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("cases: []\n", 1, "names no workflow"),
        ("workflow: desk\ncases: [{inpts: 1}]\n", 1, "inpts"),
        ("workflow: desk\ncase: []\n", 1, "cases: is required; case: is not known here"),
        ("workflow: desk\ncases: []\nevaluators: [Nope]\n", 1, "Evaluator 'Nope' is not known. Valid choices: "),
        ("workflow: dsk\ncases: []\n", 1, "there is no workflow 'dsk'"),
        ("workflow: desk\nmocks: none.yaml\ncases: []\n", 1, "none.yaml"),
        ("workflow: [", 1, "error"),
    ],
)
def test_what_is_wrong_with_a_suite_is_told_before_anything_runs(
    suite: Suite, server: ModelServer, awr: Awr, content: str, code: int, message: str
) -> None:
    file = suite([], [])
    file.write_text(content, "utf-8")
    found = awr("eval", file)
    assert found.exit_code == code, found.stdout
    assert message in found.stderr
    assert server.requests == []
