"""Texts of a megabyte, and conditions as long as the language allows, through every command and route that shows them.

What is more than linear in a text would take hours here, not seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess

OUTPUT_CHARS = 1024 * 1024
COMPUTED_CHARS = 340_000  # of three bytes: a formula makes texts of up to a megabyte
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


RAISING = """\
from workflow_runtime.sdk import ToolError, tool

@tool
def raises(text: str):
    raise ValueError(text)

@tool
def refuses(text: str):
    raise ToolError(text, text)

@tool
def raises_many(text: str):
    raise ExceptionGroup(text, [ValueError(text)] * 20)

@tool
def takes_numbers(n: int): ...
"""
SHOUTING = """\
workflow:
  id: 喊
  type: state_machine
  initial_state: a
  final_states: [z]
  variables: {said: ""}
  triggers:
    - {type: webhook, endpoint: shout, auth_required: false, input: {text: "${body.text}"}}
  states:
    - name: a
      on_enter: [{log: "${text}"}]
      transitions:
        - event: say
          actions:
            - {log: "${event.data.text}"}
            - {set_variable: {name: said, value: "${event.data.text}"}}
            - {publish_event: {topic: "${event.data.text}"}, required: false}
        - {event: refused, condition: "event.data.text == 'x'", target: z}
        - {event: end, target: z}
"""


@pytest.fixture
def tools() -> None:
    """Tools that raise what they are given, and a workflow for each."""
    for folder in ("tools", "workflows"):
        (Path("definitions") / folder).mkdir(parents=True)
    written("definitions/tools/raising.py", RAISING)
    for tool, argument in (("raises", "text"), ("refuses", "text"), ("raises_many", "text"), ("takes_numbers", "n")):
        node = f'{{id: a, type: tool, tool: {tool}, inputs: {{{argument}: "${{text}}"}}}}'
        written(f"definitions/workflows/{tool}.yaml", f"workflow: {{id: {tool}, nodes: [{node}]}}\n")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("options", [(), ("--verbose",)])
@pytest.mark.parametrize("tool", ["raises", "refuses", "raises_many", "takes_numbers"])
def test_what_a_tool_raises_is_shown_by_its_beginning(
    awr: Awr, long_input: str, tool: str, options: tuple[str, ...]
) -> None:
    result = awr("run", f"definitions/workflows/{tool}.yaml", "-i", long_input, *options)
    assert result.exit_code == 3
    assert 0 < len(result.stdout) + len(result.stderr) < 200_000


def test_a_prompt_of_any_length_goes_to_the_model(awr: Awr, long_input: str) -> None:
    (Path("definitions") / "agents").mkdir(parents=True)
    written("definitions/agents/one.yaml", "{id: one, model: test, instructions: answer}\n")
    asking = 'workflow: {id: asking, nodes: [{id: a, type: agent, agent: one, prompt: "${text}"}]}\n'
    result = awr("run", written("asking.yaml", asking), "-i", long_input, "--definitions", "definitions", "--json")
    assert result.exit_code == 0, result.stderr
    assert only_document(result.stdout)["node_executions"]["a"]["usage"]["input_tokens"] > 1000


def test_an_api_and_its_commands_show_the_beginning(
    awr: Awr, long_input: str, dev_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWR_URL", dev_url)
    for path in (written("echo.yaml", ECHO), written("failing.yaml", FAILING), wide_graph(), listening()):
        assert awr("publish", path).exit_code == 0
    for workflow, code in (("长", 0), ("长错误", 3)):
        started = awr("start", workflow, "-i", long_input, "--wait", "100", "--json")
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


def test_events_logs_and_webhooks_carry_long_texts_and_show_the_beginning(
    awr: Awr, dev_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWR_URL", dev_url)
    assert awr("publish", written("shouting.yaml", SHOUTING)).exit_code == 0
    text = "长" * COMPUTED_CHARS
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    Path("event.json").write_bytes(body)
    hook = Request(f"{dev_url}/hooks/%E5%96%8A/shout", body, {"content-type": "application/json"})
    execution_id = json.load(urlopen(hook))["execution_id"]
    for event, code in (("say", 0), ("refused", 1)):
        told = awr("signal", execution_id, event, "@event.json", "--wait", "100")
        assert told.exit_code == code, told.stderr
        assert len(told.stdout) < 10_000
    for command in ("logs", "status", "history"):
        shown = awr(command, execution_id)
        assert shown.exit_code == 0
        assert "…" in shown.stdout, command
        assert len(shown.stdout) < 100_000, command
    document = only_document(awr("status", execution_id, "--json").stdout)
    assert document["variables"]["said"] == text
    for route in (f"executions/{execution_id}/history", f"dev/logs?execution_id={execution_id}&start=0&end={2**53}"):
        assert len(urlopen(f"{dev_url}/{route}").read()) < 100_000, route
    assert awr("signal", execution_id, "end").exit_code == 0
