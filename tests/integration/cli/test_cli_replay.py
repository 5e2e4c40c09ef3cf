"""`awr export` and `awr replay`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document

WORKFLOW = """
workflow:
  id: 回放
  nodes:
    - {id: 问, type: tool, tool: echo, inputs: {名: "${名}"}}
    - {id: 判, type: control, subtype: condition, condition: "${问.名} == '王小明'", then: 好, else: 坏}
    - {id: 好, type: tool, tool: echo}
    - {id: 坏, type: tool, tool: echo}
"""


@pytest.fixture
def execution(awr: Awr) -> str:
    Path("w.yaml").write_text(WORKFLOW, encoding="utf-8")
    ran = awr("run", "w.yaml", "--input", '{"名": "王小明"}', "--db", "x.db", "--json")
    assert ran.exit_code == 0, ran.stderr
    return str(only_document(ran.stdout)["execution_id"])


def test_an_execution_of_a_file_is_replayed(awr: Awr, execution: str) -> None:
    done = awr("replay", execution, "--db", "x.db")
    assert (done.exit_code, done.stdout) == (0, f"the same: 3 commits of {execution} (回放 version 1)\n")


def test_an_exported_execution_is_replayed_and_a_difference_shown(awr: Awr, execution: str) -> None:
    assert awr("export", execution, "--db", "x.db", "-o", "r.json").exit_code == 0
    assert awr("replay", "r.json").exit_code == 0
    recording = Path("r.json")
    text = recording.read_text(encoding="utf-8")
    assert awr("export", execution, "--db", "x.db").stdout == text
    recording.write_text(text.replace('"selected":["好"]', '"selected":["坏"]'), encoding="utf-8")
    shown = awr("replay", "r.json")
    assert shown.exit_code == 1
    assert shown.stdout.splitlines() == [
        f"different: commit 2 of 3 of {execution} (回放 version 1)",
        "  took      node_succeeded run:问#1",
        "  at        commands[0].output.selected[0]",
        '  recorded  "坏"',
        '  replayed  "好"',
    ]
    document = only_document(awr("replay", "r.json", "--json").stdout)
    assert (document["commits"], document["difference"]["version"]) == (3, 2)


def test_what_is_neither_execution_nor_recording_is_told(awr: Awr, execution: str) -> None:
    assert awr("replay", f"{execution}x", "--db", "x.db").exit_code == 1
    refused = awr("replay", "w.yaml")
    assert refused.exit_code == 1
    assert "w.yaml is not a recording" in refused.stderr
