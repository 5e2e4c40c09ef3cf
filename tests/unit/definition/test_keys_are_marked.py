"""What is said of a key points at the key, in workflow files and in those of agents and mocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import RULES, Finding
from workflow_runtime.invokers.agents.registry import AgentRegistry
from workflow_runtime.invokers.mocks import Mocks

TESTS = Path(__file__).parents[2]
FILES = sorted([*TESTS.glob("golden/findings/*.yaml"), *TESTS.glob("unit/definition/golden/*.yaml")])


def shown(text: str, finding: Finding) -> str:
    """The text from where a finding points, without a quote."""
    return text.splitlines()[finding.line - 1][finding.column - 1 :].lstrip("\"'")


def test_in_workflows_whatever_stands_under_it() -> None:
    seen: set[str] = set()
    for file in FILES:
        text = file.read_text("utf-8")
        for finding in compile_workflow(text).findings:
            if RULES[finding.id].about_key:
                seen.add(finding.id)
                key = finding.path.rpartition(".")[2]
                assert shown(text, finding).startswith(f"{key}:"), f"{file.name}: {finding}"
    assert {"WF201", "WF209", "WF504"} <= seen


@pytest.mark.parametrize("value", ["1", "{a: 1}", "[1, 2]", "\n        a: 1", '"text"', "*one", "null"])
def test_whatever_the_value_is(value: str) -> None:
    text = f"workflow:\n  id: w\n  metadata: &one {{}}\n  nodes:\n    - id: a\n      type: tool\n      tol: {value}\n"
    found = [each for each in compile_workflow(text).findings if each.id == "WF201"]
    assert [(each.line, each.column) for each in found] == [(7, 7)]


@pytest.mark.parametrize("text", [
    "id: a\nmodel: test\ninstruction: x\n",
    "agents: [{id: a, model: test, instruction: x}]\n",
    "id: a\nmodel: test\nsettings: {instruction: x}\n",
])  # fmt: skip
def test_in_files_of_agents(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DefinitionError) as raised:
        _ = AgentRegistry.load(tmp_path).ids
    assert [shown(text, each)[:12] for each in raised.value.findings] == ["instruction:"]


def test_in_files_of_mocks(tmp_path: Path) -> None:
    text = "tools: {known: {return: 1, retrn: 2}, unknown: {return: 1}}\n"
    file = tmp_path / "m.yaml"
    file.write_text(text)
    with pytest.raises(DefinitionError) as raised:
        Mocks.load(file)
    assert [shown(text, each)[:6] for each in raised.value.findings] == ["retrn:"]
    file.write_text(text.replace("retrn: 2", "delay: 2"))
    unknown = Mocks.load(file).unknown({}, {"known"}, {})
    assert [shown(text, each)[:8] for each in unknown] == ["unknown:"]
