"""awr validate."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.conftest import PROJECT, Awr, only_document

CYCLE = """\
workflow:
  id: cycle
  nodes:
    - {id: a, type: tool, tool: echo, dependencies: [b]}
    - {id: b, type: tool, tool: echo, dependencies: [a]}
"""
UNKNOWN_TARGET = """\
workflow:
  id: target
  nodes:
    - {id: a, type: tool, tool: echo}
    - {id: s, type: control, subtype: switch, dependencies: [a], condition: "1", branches: [{case: 1, target: nowhere}]}
"""
UNKNOWN_AGENT = "workflow: {id: w, nodes: [{id: a, type: agent, agent: nobody}]}\n"
SOUND = "workflow: {id: w, nodes: [{id: 问候, type: tool, tool: echo}]}\n"


def test_the_shipped_definitions_are_valid(awr: Awr) -> None:
    result = awr("validate", "--strict", PROJECT / "definitions")
    count = len(list((PROJECT / "definitions").rglob("workflows/*.yaml")))
    assert (result.exit_code, result.stdout) == (0, f"ok: {count} workflows, no findings\n")


def test_a_finding_is_shown_with_its_place_its_line_a_caret_and_a_hint(awr: Awr) -> None:
    Path("w.yaml").write_text(
        "workflow:\n  id: w\n  nodes:\n    - {id: 甲, type: tool, tool: echo, dependencys: []}\n", "utf-8"
    )
    result = awr("validate", "w.yaml")
    assert result.exit_code == 1
    place, source, caret, hint, *_ = result.stdout.splitlines()
    assert place.startswith("w.yaml:4:39: error WF201")
    assert source == "  4 |     - {id: 甲, type: tool, tool: echo, dependencys: []}"
    assert caret == "    | " + " " * 39 + "^"  # one column further: 甲 takes two
    assert hint.startswith("  hint: Did you mean `dependencies`?")
    assert result.stdout.splitlines()[-1] == "not valid: 1 workflow, 1 error"


def test_a_long_line_is_cut_around_the_caret(awr: Awr) -> None:
    node = f"{{id: a, type: tool, tool: echo, inputs: {{x: {'字' * 200}}}, wrong: 1, inputs2: {'y' * 200}}}"
    Path("w.yaml").write_text(f"workflow: {{id: w, nodes: [{node}]}}\n", "utf-8")
    result = awr("validate", "w.yaml")
    source, caret = result.stdout.splitlines()[1:3]
    assert len(source) <= 80
    assert "…" in source
    assert "wrong" in source
    assert caret.endswith("^")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CYCLE, "a → b → a"),
        (UNKNOWN_TARGET, "nowhere"),
        ("workflow: [\n", "error WF1"),
        ("", "holds no workflow"),
        ("workflow: {id: w, id: w}\n", "id"),
        ("# " + "x" * 5_000_000, "bytes"),
    ],
    ids=["cycle", "unknown target", "bad YAML", "empty", "duplicate key", "too large"],
)
def test_what_is_wrong_is_an_error(awr: Awr, text: str, words: str) -> None:
    Path("w.yaml").write_text(text, "utf-8")
    shown, document = awr("validate", "w.yaml"), awr("validate", "w.yaml", "--json")
    assert shown.exit_code == document.exit_code == 1
    assert words in shown.stdout
    found = only_document(document.stdout)
    assert found["valid"] is False
    assert found["errors"] == 1
    assert {"id", "severity", "message", "line", "column", "file"} <= found["files"][0]["findings"][0].keys()


def test_warnings_fail_only_with_strict(awr: Awr) -> None:
    Path("w.yaml").write_text(UNKNOWN_AGENT, "utf-8")
    relaxed, strict = awr("validate", "w.yaml"), awr("validate", "w.yaml", "--strict")
    assert (relaxed.exit_code, strict.exit_code) == (0, 1)
    assert "warning" in relaxed.stdout
    assert "nobody" in relaxed.stdout
    assert relaxed.stdout.endswith("ok: 1 workflow, 1 warning\n")
    assert strict.stdout.endswith("not valid: 1 workflow, 1 error\n")


def test_agents_are_found_above_the_workflow_or_where_definitions_says(awr: Awr) -> None:
    agent = "agents: [{id: nobody, model: test, instructions: x}]\n"
    for directory in ("here/agents", "here/workflows", "other/agents", "flows"):
        Path(directory).mkdir(parents=True)
    for directory in ("here/agents", "other/agents"):
        Path(directory, "a.yaml").write_text(agent, "utf-8")
    for directory in ("here/workflows", "flows"):
        Path(directory, "w.yaml").write_text(UNKNOWN_AGENT, "utf-8")
    assert awr("validate", "--strict", "here").exit_code == 0
    assert awr("validate", "--strict", "flows").exit_code == 1
    assert awr("validate", "--strict", "flows", "--definitions", "other").exit_code == 0


def test_wrong_agents_are_findings_too(awr: Awr) -> None:
    Path("agents").mkdir()
    Path("agents/a.yaml").write_text("agents: [{id: nobody, modell: x}]\n", "utf-8")
    Path("w.yaml").write_text(SOUND, "utf-8")
    result = awr("validate", "w.yaml")
    assert result.exit_code == 1
    assert "agents/a.yaml:1" in result.stdout


def test_a_directory_is_searched_for_workflows_only(awr: Awr) -> None:
    Path("below/.hidden").mkdir(parents=True)
    Path("below/w.yaml").write_text(SOUND, "utf-8")
    Path("below/w.yml").write_text('{"workflow": {"id": "flow"', "utf-8")
    Path("below/w.json").write_text('{\n  "workflow": {"id": "j", "nodes": []}}', "utf-8")
    Path("below/schema.json").write_text('{"properties": {"workflow": {}}}', "utf-8")
    Path("below/notes.yaml").write_text("agents:\n  workflow: no\n", "utf-8")
    Path("below/.hidden/w.yaml").write_text(SOUND, "utf-8")
    files = only_document(awr("validate", "below", "--json").stdout)["files"]
    assert [file["file"] for file in files] == ["below/w.json", "below/w.yaml", "below/w.yml"]


@pytest.mark.parametrize("words", [["nowhere.yaml"], [], ["."], ["--definitions", "nowhere", "w.yaml"]])
def test_what_cannot_be_looked_at_is_wrong_usage(awr: Awr, words: list[str]) -> None:
    shown, document = awr("validate", *words), awr("validate", "--json", *words)
    assert shown.exit_code == document.exit_code == 2
    assert shown.stdout == ""
    assert "error: " in shown.stderr
    assert only_document(document.stdout)["error"]["code"] == "usage"


def test_control_characters_are_shown_not_obeyed(awr: Awr) -> None:
    Path("w.yaml").write_text('workflow: {id: w, nodes: [{id: "a\\e[31m", type: tool, tool: echo}]}\n', "utf-8")
    result = awr("validate", "w.yaml")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout


def test_two_files_of_one_workflow_are_a_finding(awr: Awr) -> None:
    folder = Path("definitions/workflows")
    folder.mkdir(parents=True)
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text(SOUND, "utf-8")
    result = awr("validate", "definitions")
    assert result.exit_code == 1
    assert "b.yaml:1:16: error WF223: definitions/workflows/a.yaml defines the workflow `w`, too" in result.stdout
    assert "not valid: 2 workflows, 1 error" in result.stdout


def test_two_agents_whose_ids_look_the_same_are_a_finding(awr: Awr) -> None:
    for folder in ("workflows", "agents"):
        Path("definitions", folder).mkdir(parents=True)
    Path("definitions/workflows/w.yaml").write_text(SOUND, "utf-8")
    for name, id in (("a.yaml", "caf\u00e9"), ("b.yaml", "cafe\u0301")):
        Path("definitions/agents", name).write_text(f"{{id: {id}, model: test}}\n", "utf-8")
    result = awr("validate", "definitions")
    assert result.exit_code == 1
    assert "definitions/agents/b.yaml:1:6: error WF604" in result.stdout
    assert "definitions/agents/a.yaml declares it too" in result.stdout
