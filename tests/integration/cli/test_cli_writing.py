"""What agents write shows while people watch: in `awr run`, and in `awr status --watch`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr

from workflow_runtime.frontends.cli.writing import Writing
from workflow_runtime.storage.live import Part

WORKFLOW = "workflow: {id: letter, nodes: [{id: write, type: agent, agent: writer}]}"


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    for name, text in (
        ("workflows/letter.yaml", WORKFLOW),
        ("agents/a.yaml", "agents: [{id: writer, model: test}]"),
    ):
        (tmp_path / "definitions" / name).parent.mkdir(parents=True)
        (tmp_path / "definitions" / name).write_text(text)
    return tmp_path / "definitions" / "workflows" / "letter.yaml"


def test_what_an_agent_writes_is_shown_while_it_runs(awr: Awr, letter: Path) -> None:
    done = awr("run", letter)
    assert done.exit_code == 0
    lines = done.stderr.splitlines()
    text = next(line for line in lines if "write: " in line)
    ended = next(line for line in lines if "write  (" in line)
    assert lines.index(text) < lines.index(ended)


def test_programs_get_the_document_alone(awr: Awr, letter: Path) -> None:
    done = awr("run", letter, "--json")
    assert json.loads(done.stdout)["status"] == "completed"


def test_messages_are_told_when_they_have_ended_and_void_ones_are_not() -> None:
    writing = Writing()
    writing.wrote("a", [Part("text", 1, "Hello "), Part("text", 1, "you")])
    assert writing.texts == {"a": "Hello you"}
    assert writing.written() == []
    writing.wrote("a", [Part("end", 1), Part("call", 2, name="look"), Part("arguments", 2, "{}")])
    assert writing.written() == [("a", "Hello you")]
    assert writing.texts == {"a": " look{}"}
    writing.void("a")
    writing.wrote("a", [Part("end", 2)])
    assert writing.written() == []
