"""awr compile, awr graph, and what belongs to no command."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.conftest import PROJECT, Awr, only_document

from workflow_runtime.drawing import FORMATS
from workflow_runtime.frontends.cli.commands.graph import GraphFormat

SUPPORT = PROJECT / "definitions/workflows/customer_support.yaml"
BROKEN = "workflow: {id: w, nodes: [{id: a, type: tool, tool: echo, dependencies: [zzz]}]}\n"


def test_compile_shows_groups_and_the_critical_path(awr: Awr) -> None:
    result = awr("compile", SUPPORT)
    assert result.exit_code == 0
    assert "nodes          12: 7 agent" in result.stdout
    assert "6  sentiment_check, compliance_check" in result.stdout
    assert "understand → route → complaint_handler" in result.stdout
    assert "decisions read understand.intent" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_compile_gives_the_plan_and_its_analysis_as_json(awr: Awr) -> None:
    result = awr("compile", SUPPORT, "--json")
    document = only_document(result.stdout)
    assert result.exit_code == 0
    assert len(document["hash"]) == 40
    assert document["plan"]["workflow_id"] == "customer_support"
    assert document["analysis"]["parallel_groups"][5] == ["sentiment_check", "compliance_check"]
    assert document["analysis"]["critical_path"]["nodes"][0] == "understand"
    assert document["analysis"]["decision_values"]["understand"] == ["understand.intent"]


@pytest.mark.parametrize("command", ["compile", "graph"])
def test_a_wrong_workflow_has_no_plan_and_no_drawing(awr: Awr, command: str) -> None:
    Path("w.yaml").write_text(BROKEN, "utf-8")
    result = awr(command, "w.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "w.yaml:1:" in result.stderr
    assert "zzz" in result.stderr


def test_a_wrong_workflow_is_one_error_document(awr: Awr) -> None:
    Path("w.yaml").write_text(BROKEN, "utf-8")
    result = awr("compile", "w.yaml", "--json")
    error = only_document(result.stdout)["error"]
    assert result.exit_code == 1
    assert error["code"] == "invalid_definition"
    assert error["findings"][0]["file"] == "w.yaml"


def test_every_graph_format_can_be_asked_for(awr: Awr) -> None:
    assert {format.value for format in GraphFormat} == set(FORMATS)
    starts = {"mermaid": "flowchart TD", "dot": "digraph", "svg": "<svg", "text": "客服工单处理"}
    for format, start in starts.items():
        result = awr("graph", SUPPORT, "--format", format)
        assert result.exit_code == 0
        assert result.stdout.startswith(start)


def test_a_graph_goes_into_a_file(awr: Awr) -> None:
    result = awr("graph", SUPPORT, "-f", "svg", "-o", "out.svg")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("out.svg").read_text("utf-8").startswith("<svg")
    assert awr("graph", SUPPORT, "-o", "no/such/out.svg").exit_code == 1


def test_an_unknown_format_or_a_directory_is_wrong_usage(awr: Awr) -> None:
    assert awr("graph", SUPPORT, "--format", "png").exit_code == 2
    assert awr("graph", PROJECT).exit_code == 2
    assert awr("compile", "nowhere.yaml").exit_code == 2


def test_an_unknown_command_or_option_gets_a_suggestion(awr: Awr) -> None:
    command, option = awr("validat"), awr("run", "--skip-tim", "x")
    assert command.exit_code == option.exit_code == 2
    assert "Did you mean 'validate'?" in command.stderr
    assert "--skip-time" in option.stderr
    assert only_document(awr("validat", "--json").stdout)["error"]["code"] == "usage"


def test_help_and_version_explain_themselves(awr: Awr) -> None:
    assert awr("--version").stdout.startswith("awr ")
    top, run = awr("--help").stdout, awr("run", "-h").stdout
    assert all(command in top for command in ("validate", "compile", "graph", "run"))
    assert all(f"\n      {code}" in run.replace("    ", "      ") for code in (0, 1, 2, 3, 4))
    assert "--resume" in run
    assert awr().exit_code == 2
