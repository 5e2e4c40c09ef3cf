"""What authors and callers write cannot control the terminal of who looks at it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess

HOSTILE = "a\x1b[2J\x07\x9b\u202e\u2066b"
WORKFLOW = json.dumps(
    {
        "workflow": {
            "id": "hostile",
            "name": HOSTILE,
            "type": "hybrid",
            "variables": {"v": HOSTILE},
            "initial_state": "s",
            "states": [
                {
                    "name": "s",
                    "run": [
                        {"id": "e", "name": HOSTILE, "type": "tool", "tool": "echo", "inputs": {HOSTILE: "${t}"}},
                        {"id": "f", "type": "control", "subtype": "fail", "error": "bad", "message": "${t}: ${e}"},
                    ],
                    "on_error": {"target": "w", "actions": [{"log": "${v}", "level": "warning"}]},
                },
                {"name": "w", "transitions": [{"event": "go", "condition": f"v == '{HOSTILE}'", "target": "s"}]},
            ],
        }
    }
)  # fmt: skip
BROKEN = json.dumps({"workflow": {"id": "w", HOSTILE: 1, "nodes": [{"id": "a", "type": HOSTILE}]}})


def obeyed(text: str) -> set[str]:
    """The control and format characters that a terminal would obey; its own styles apart."""
    return {character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, str]:
    """A workflow, one that is wrong, and an input, all with the same text in them."""
    for name, text in (("w.json", WORKFLOW), ("broken.json", BROKEN), ("input.json", json.dumps({"t": HOSTILE}))):
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path / "w.json", tmp_path / "broken.json", f"@{tmp_path / 'input.json'}"


def test_commands_on_files_show_control_characters_and_do_not_write_them(
    awr: Awr, files: tuple[Path, Path, str]
) -> None:
    workflow, broken, input = files
    for words in (
        ("run", workflow, "-i", input),
        ("run", workflow, "-i", input, "--verbose"),
        ("validate", workflow, broken),
        ("compile", workflow),
        ("compile", broken),
        *(("graph", workflow, "-f", format) for format in ("text", "mermaid", "dot", "svg")),
    ):
        result = awr(*words)
        assert result.stdout + result.stderr
        assert not obeyed(result.stdout + result.stderr), words


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    with DevProcess(tmp_path_factory.mktemp("dev") / "log") as process:
        yield process


def test_commands_that_ask_an_api_and_its_log_do_not_write_them_either(
    awr: Awr, files: tuple[Path, Path, str], dev: DevProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWR_URL", dev.url)
    workflow, broken, input = files
    assert awr("publish", workflow).exit_code == 0
    execution_id = only_document(awr("start", "hostile", "-i", input, "--json").stdout)["execution_id"]
    for words in (
        ("publish", broken),
        ("signal", execution_id, "go", "--wait", "100"),
        ("status", execution_id),
        ("history", execution_id),
        ("list", "hostile"),
        ("list",),
        ("logs", execution_id),
        ("graph", "--execution", execution_id, "-f", "text"),
    ):
        result = awr(*words)
        assert result.stdout + result.stderr
        assert not obeyed(result.stdout + result.stderr), words
    assert not obeyed(dev.log.read_text("utf-8"))
