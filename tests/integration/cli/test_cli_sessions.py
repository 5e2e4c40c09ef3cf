"""`awr sessions`: listed, shown and forgotten, of a database file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document

WORKFLOW = """
workflow:
  id: talk
  nodes: [{id: say, type: agent, agent: friend, inputs: {q: "${q}"}, session: "${who}"}]
"""
FRIEND = "{id: friend, model: test, tools: [echo]}"


@pytest.fixture
def talks(tmp_path: Path, awr: Awr) -> Path:
    """A database in which two customers have said something."""
    for folder, name, text in (("agents", "friend", FRIEND), ("workflows", "talk", WORKFLOW)):
        (tmp_path / "definitions" / folder).mkdir(parents=True)
        (tmp_path / "definitions" / folder / f"{name}.yaml").write_text(text, "utf-8")
    for who, q in (("李雷", "1"), ("李雷", "2"), ("ann", "x")):
        file = tmp_path / "definitions" / "workflows" / "talk.yaml"
        ran = awr("run", file, "--db", "runs.db", "--input", f'{{"who": "{who}", "q": "{q}"}}')
        assert ran.exit_code == 0, ran.stderr
    return tmp_path


@pytest.mark.usefixtures("talks")
def test_sessions_are_listed_shown_and_forgotten(awr: Awr) -> None:
    listed = awr("sessions", "--db", "runs.db").stdout.splitlines()
    assert re.fullmatch(r"friend ann  1 turn, used \S+", listed[0])
    assert re.fullmatch(r"friend 李雷  2 turns, used \S+", listed[1])
    assert len(only_document(awr("sessions", "list", "friend", "--db", "runs.db", "--json").stdout)["sessions"]) == 2
    shown = awr("sessions", "show", "friend", "李雷", "--db", "runs.db").stdout
    assert 'user: {"q":"1"}' in shown
    assert 'agent calls: echo {"' in shown
    assert 'echo gave: {"' in shown
    assert 'agent: {"echo":' in shown
    deleted = awr("sessions", "delete", "friend", "李雷", "--db", "runs.db")
    assert (deleted.exit_code, deleted.stdout) == (0, "deleted friend 李雷\n")
    gone = awr("sessions", "show", "friend", "李雷", "--db", "runs.db")
    assert (gone.exit_code, "has no session '李雷'" in gone.stderr) == (1, True)
    assert awr("sessions", "list", "nobody", "--db", "runs.db").stderr == "there are no sessions of the agent nobody\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show",), "show needs an agent and the name of a session"),
        (("delete", "friend"), "delete needs an agent and the name of a session"),
        (("list", "friend", "li"), "list takes an agent, and no session"),
    ],
)
def test_wrong_usage_says_how_it_is_right(awr: Awr, words: tuple[str, ...], message: str) -> None:
    refused = awr("sessions", *words)
    assert refused.exit_code == 2
    assert message in refused.stderr
