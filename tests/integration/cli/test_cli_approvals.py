"""`awr approvals`, `awr approve`, `awr reject`, `awr delegate`, and how `awr run` plays people."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import AWR, DEADLINE_SECONDS, Awr, environment, only_document
from tests.integration.dev.dev_process import DevProcess
from tests.processes.living import eventually

WORKFLOW = """
workflow:
  id: 审批
  nodes:
    - id: check
      type: control
      subtype: approval
      prompt: "发布 ${title}?"
      assignees: [ann, 李雷]
      data: {title: "${title}", copies: 3}
      form: {type: object, properties: {title: {type: string}, copies: {type: integer, maximum: 10}}}
    - {id: done, type: control, subtype: pass, inputs: {by: "${check.by}", data: "${check.data}"}}
  outputs: "${done}"
"""
INPUT = '{"title": "春"}'


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "w.yaml"
    file.write_text(WORKFLOW, "utf-8")
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "definitions" / "workflows").mkdir(parents=True)
    (folder / "definitions" / "workflows" / "w.yaml").write_text(WORKFLOW, "utf-8")
    with DevProcess(folder / "log", "--definitions", folder / "definitions") as process:
        yield process.url


@pytest.fixture
def dev(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWR_URL", server)


def asked(awr: Awr, *where: object) -> str:
    """The id of the only approval, once it is there."""

    def found() -> list[Any]:
        return list(only_document(awr("approvals", "--json", *where).stdout)["approvals"])

    eventually(lambda: bool(found()))
    (approval,) = found()
    return str(approval["id"])


# ---- on a server


@pytest.mark.usefixtures("dev")
def test_people_are_listed_shown_and_answer_by_name(awr: Awr) -> None:
    execution_id = awr("start", "审批", "--input", INPUT).stdout.strip()
    id = asked(awr)
    listed = awr("approvals", "--assignee", "李雷").stdout
    assert re.fullmatch(rf"{id}  open  \S+  审批: check  ann, 李雷  发布 春\?\n", listed)
    assert awr("approvals", "--assignee", "eve").stderr == "nobody is asked anything\n"
    shown = awr("approvals", id).stdout
    assert '"copies": 3' in shown
    assert "who: ann, 李雷" in shown
    unknown = awr("approve", id)
    assert (unknown.exit_code, "--as NAME says who you are" in unknown.stderr) == (1, True)
    assert "eve is not among those who are asked" in awr("approve", id, "--as", "eve").stderr
    wrong = awr("approve", id, "--as", "ann", "--data", '{"copies": 50}')
    assert (wrong.exit_code, "copies: 50 is greater than the maximum of 10" in wrong.stderr) == (1, True)
    assert awr("delegate", id, "--as", "ann", "--to", "bob").stdout == "delegated: bob is asked instead of ann\n"
    said = awr("approve", id, "--as", "李雷", "--data", '{"copies": 5}', "--comment", "好")
    assert (said.exit_code, said.stdout) == (0, f"approved: {id}\n")
    assert awr("status", execution_id, "--watch").exit_code == 0
    again = awr("approve", id, "--as", "李雷", "--data", '{"copies": 5}', "--comment", "好")
    assert again.stdout == f"approved already: {id}\n"
    late = awr("reject", id, "--as", "bob")
    assert (late.exit_code, "it is too late: the approval was approved by 李雷 at" in late.stderr) == (1, True)
    assert "approved by 李雷" in awr("approvals", id).stdout
    assert awr("approvals", "--ended").stdout.startswith(f"{id}  approved")


@pytest.mark.usefixtures("dev")
def test_wrong_usage_and_what_is_not_there_are_told(awr: Awr) -> None:
    assert awr("approve", "ex-none.1", "--as", "ann").exit_code == 1
    assert "there is no approval 'ex-none.1'" in awr("approve", "ex-none.1", "--as", "ann").stderr
    assert awr("approvals", "x").exit_code == 1
    assert awr("approvals", "--older-than", "soon").exit_code == 1
    assert awr("approve").exit_code == 2
    assert awr("approve", "a.1", "--data", "{").exit_code == 1
    assert awr("delegate", "a.1").exit_code == 2


# ---- awr run


def test_decisions_are_given_with_the_run(awr: Awr, flow: Path) -> None:
    done = awr("run", flow, "--input", INPUT, "--json", "--approve", 'check={"copies": 5}')
    assert only_document(done.stdout)["output"] == {"by": "ann", "data": {"copies": 5, "title": "春"}}
    rejected = awr("run", flow, "--input", INPUT, "--json", "--reject", "check=太贵")
    assert (rejected.exit_code, only_document(rejected.stdout)["error"]["message"]) == (3, "ann rejected it: 太贵")


LATER = """
workflow:
  id: later
  nodes:
    - {id: first, type: tool, tool: broken, inputs: {}, RETRIES}
    - {id: check, type: control, subtype: approval, dependencies: [first], prompt: "ok?", quorum: 2}
  outputs: "${check}"
"""


BROKEN = """
from workflow_runtime.sdk import tool

@tool(description="Never works.")
def broken() -> None:
    raise RuntimeError("not today")
"""


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("words", [("--skip-time",), ()])
def test_each_of_a_quorum_is_played_once_whenever_it_is_asked(
    awr: Awr, tmp_path: Path, words: tuple[str, ...], retries: int
) -> None:
    policy = f"retry_policy: {{max_retries: {retries}, retry_delay: 50ms}}, on_error: continue"
    (tmp_path / "w.yaml").write_text(LATER.replace("RETRIES", policy))
    (tmp_path / "definitions" / "tools").mkdir(parents=True)
    (tmp_path / "definitions" / "tools" / "mine.py").write_text(BROKEN)
    done = awr(
        "run", tmp_path / "w.yaml", "--definitions", tmp_path / "definitions", "--approve", "check", "--json", *words
    )
    answers = only_document(done.stdout)["output"]["answers"]
    assert [answer["by"] for answer in answers] == ["cli", "cli-2"], done.stderr
    assert done.stderr.count("approved: check") == 2


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--approve", "chek"), 2, "there is no approval 'chek'"),
        (("--approve", "check={"), 1, "is not valid JSON"),
        (("--approve", 'check={"a": 1, "a": 2}'), 1, "the key `a` stands twice in the data of approval 'check'"),
        (("--approve", '={"a": 1}'), 2, "names no node"),
        (("--approve", 'check={"copies": 50}'), 1, "does not match the form: copies: 50"),
    ],
)
def test_a_decision_that_is_wrong_is_refused(
    awr: Awr, flow: Path, words: tuple[str, ...], code: int, part: str
) -> None:
    done = awr("run", flow, "--input", INPUT, *words)
    assert (done.exit_code, part in done.stderr) == (code, True), done.stderr


def test_what_is_asked_in_a_file_is_answered_there(awr: Awr, flow: Path, tmp_path: Path) -> None:
    db = tmp_path / "r.db"
    waiting = awr("run", flow, "--input", INPUT, "--db", db)
    assert waiting.exit_code == 5
    assert "check (running) waits for a decision" in waiting.stderr
    id = asked(awr, "--db", db)
    command = shlex.join(["awr", "approve", id, "--as", "ann", "--db", str(db)])
    assert f"hint: --approve check=JSON, or {command}\n" in waiting.stderr, "as it can be pasted"
    assert awr("approve", id, "--db", db, "--as", "李雷").exit_code == 0
    done = awr("status", id.partition(".")[0], "--db", db, "--json")
    assert only_document(done.stdout)["output"]["by"] == "李雷"


def on_a_terminal(*words: object, typed: str) -> tuple[int, str]:
    """Exit code and everything that a terminal shows when this is typed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*AWR, *map(str, words)], env=environment({"TERM": "dumb"}), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    os.write(leader, typed.encode())
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:  # Linux says so when the other side has closed
        pass
    code = process.wait(timeout=DEADLINE_SECONDS)
    os.close(leader)
    return code, shown.decode()


def test_a_terminal_shows_the_form_and_asks(flow: Path) -> None:
    code, shown = on_a_terminal("run", flow, "--input", INPUT, typed="ok?\ny\n50\n夏\n\ny\n7\n\nfine\n")
    assert code == 0, shown
    assert "发布 春?" in shown
    assert "not taken: the data does not match the form: copies: 50" in shown
    assert re.search(r'"copies": 7,\s+"title": "春"', shown)


def test_an_object_that_is_typed_with_a_key_twice_is_asked_for_again(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    form = "{type: object, properties: {places: {type: object}}}"
    node = f"{{id: a, type: control, subtype: approval, form: {form}}}"
    file.write_text(f"workflow: {{id: w, nodes: [{node}], outputs: '${{a.data}}'}}\n")
    code, shown = on_a_terminal("run", file, typed='y\n{"x": 1, "x": 2}\n{"x": 7}\nfine\n')
    assert code == 0, shown
    assert "the key `x` stands twice" in shown
    assert re.search(r'"x": 7', shown)


def test_who_does_not_decide_on_the_terminal_is_told_how_to(flow: Path) -> None:
    code, shown = on_a_terminal("run", flow, "--input", INPUT, typed="l\n")
    assert (code, "waits for a decision" in shown) == (5, True), shown


def test_calls_of_agents_are_decided_like_what_nodes_ask(awr: Awr, tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    (folder / "agents").mkdir(parents=True)
    (folder / "agents" / "a.yaml").write_text("id: desk\nmodel: test\ntools: [{tool: echo, approve: true}]\n")
    file = tmp_path / "w.yaml"
    file.write_text("workflow:\n  id: w\n  nodes:\n    - {id: a, type: agent, agent: desk, prompt: hello}\n")
    waits = awr("run", file, "--definitions", folder)
    assert "asked: a The agent desk asks to call echo." in waits.stderr
    assert "hint: --approve a\n" in waits.stderr, "nothing outlives a run without a file"
    rejected = awr("run", file, "--definitions", folder, "--reject", "a=not now", "--json")
    assert "rejected: cli rejected the call: not now" in rejected.stdout
    assert "rejected" not in awr("run", file, "--definitions", folder, "--approve", "a", "--json").stdout
