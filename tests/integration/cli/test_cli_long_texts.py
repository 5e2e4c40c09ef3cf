"""Texts of a megabyte, and conditions as long as the language allows, through every command and route that shows them.

What is more than linear in a text would take hours here, not seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess

OUTPUT_CHARS = 1024 * 1024
CONDITION_CHARS = 4_000  # the language allows 4 KiB
CONDITIONS = 200
ECHO = """\
workflow:
  id: 长
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {text: "${text}"}}
    - {id: b, type: tool, tool: echo, dependencies: [a], inputs: {text: "${a.text}"}}
"""
FAILING = """\
workflow:
  id: 长错误
  nodes:
    - {id: a, type: control, subtype: fail, error: "bad", message: "${text}"}
"""
LISTENING = """\
workflow:
  id: 听
  type: state_machine
  initial_state: a
  variables: {text: x}
  states:
    - name: a
      transitions:
"""


@pytest.fixture
def long_input(tmp_path: Path) -> str:
    path = tmp_path / "input.json"
    path.write_text(json.dumps({"text": "长 \u0301x" * (OUTPUT_CHARS // 4)}), "utf-8")
    return f"@{path}"


def written(name: str, text: str) -> Path:
    Path(name).write_text(text, "utf-8")
    return Path(name)


def condition(number: int) -> str:
    return f"text == '{number}{'y' * CONDITION_CHARS}'"


def wide_graph() -> Path:
    nodes = [f"    - {{id: n{number}, type: tool, tool: echo}}" for number in range(CONDITIONS + 1)]
    edges = [
        f'    - {{from: n0, to: n{number}, condition: "{condition(number)}"}}' for number in range(1, CONDITIONS + 1)
    ]
    return written("wide.yaml", "\n".join(["workflow:", "  id: 宽", "  nodes:", *nodes, "  edges:", *edges]))


def listening() -> Path:
    lines = [
        f'        - {{event: "e{number}", condition: "{condition(number)}", target: a}}' for number in range(CONDITIONS)
    ]
    return written("listening.yaml", LISTENING + "\n".join(lines))


@pytest.mark.parametrize("terminal", ["", "1"])
def test_a_run_shows_the_beginning_of_a_long_output(
    awr: Awr, long_input: str, terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", terminal)
    result = awr("run", written("echo.yaml", ECHO), "-i", long_input)
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if "success" in line]
    assert len(rows) == 2
    assert all("…" in row and len(row) < 1_000 for row in rows)


def test_a_run_gives_programs_the_whole_output(awr: Awr, long_input: str) -> None:
    result = awr("run", written("echo.yaml", ECHO), "-i", long_input, "--json")
    assert len(only_document(result.stdout)["output"]["text"]) == OUTPUT_CHARS


def test_a_run_shows_the_beginning_of_a_long_error(awr: Awr, long_input: str) -> None:
    result = awr("run", written("failing.yaml", FAILING), "-i", long_input)
    assert result.exit_code == 3
    assert len(result.stdout) < 10_000


@pytest.mark.parametrize("command", ["validate", "compile", "graph"])
@pytest.mark.parametrize("definition", [wide_graph, listening])
def test_long_conditions_are_checked_compiled_and_drawn(awr: Awr, command: str, definition: type) -> None:
    assert awr(command, definition()).exit_code == 0


@pytest.mark.parametrize("format", ["mermaid", "dot", "svg", "text"])
@pytest.mark.parametrize("definition", [wide_graph, listening])
def test_drawings_show_the_beginning_of_long_conditions(awr: Awr, format: str, definition: type) -> None:
    shown = awr("graph", definition(), "-f", format).stdout
    assert "…" in shown
    assert max(map(len, shown.splitlines())) < CONDITION_CHARS


def test_a_run_that_waits_shows_the_beginning_of_long_conditions(awr: Awr) -> None:
    result = awr("run", listening())
    assert "event: e1" in result.stdout + result.stderr
    assert max(map(len, (result.stdout + result.stderr).splitlines())) < 1_000


@pytest.fixture(scope="module")
def dev_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with DevProcess(tmp_path_factory.mktemp("dev") / "log") as process:
        yield process.url


def test_an_api_and_its_commands_show_the_beginning(
    awr: Awr, long_input: str, dev_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWR_URL", dev_url)
    for path in (written("echo.yaml", ECHO), written("failing.yaml", FAILING), wide_graph(), listening()):
        assert awr("publish", path).exit_code == 0
    for workflow, code in (("长", 0), ("长错误", 3)):
        started = awr("start", workflow, "-i", long_input, "--wait", 60, "--json")
        assert started.exit_code == code, started.stderr
        execution_id = only_document(started.stdout)["execution_id"]
        assert awr("status", execution_id, "--watch").exit_code == code
        for command in ("status", "history"):
            assert awr(command, execution_id).exit_code == 0
            only_document(awr(command, execution_id, "--json").stdout)
        assert max(map(len, awr("list", workflow).stdout.splitlines())) < 1_000
        for route in ("", "/history", "/nodes/a"):
            assert urlopen(f"{dev_url}/executions/{execution_id}{route}").status == 200
    for workflow in ("%E5%AE%BD", "%E5%90%AC"):
        for format in ("mermaid", "dot", "svg", "text", "json"):
            assert urlopen(f"{dev_url}/workflows/{workflow}/graph?format={format}").status == 200
        assert urlopen(f"{dev_url}/workflows/{workflow}").status == 200
