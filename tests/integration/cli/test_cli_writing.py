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


@pytest.mark.parametrize("pieces", [1, 3, 100])
def test_arguments_of_calls_are_shown_in_their_own_script(pieces: int) -> None:
    arguments = r'{"city": "\u5317\u4eac \ud83d\ude00", "path": "C:\\u5317", "mark": "\u0022\n", "half": "\ud83d"}'
    size = len(arguments) // pieces + 1
    writing = Writing()
    writing.wrote("a", [Part("text", 1, "Let me look.", part=0), Part("call", 1, name="look", part=1)])
    for at in range(0, len(arguments), size):
        writing.wrote("a", [Part("arguments", 1, arguments[at : at + size], part=1)])
    shown = r'Let me look. look{"city": "北京 😀", "path": "C:\\u5317", "mark": "\u0022\n", "half": "\ud83d"}'
    assert writing.texts == {"a": shown}
    writing.wrote("a", [Part("end", 1)])
    assert writing.written() == [("a", shown)]


def test_what_a_model_writes_in_two_calls_stays_apart() -> None:
    writing = Writing()
    for part, name in enumerate(("look", "buy")):
        writing.wrote("a", [Part("call", 1, name=name, part=part), Part("arguments", 1, "{}", part=part)])
    assert writing.texts == {"a": " look{} buy{}"}
