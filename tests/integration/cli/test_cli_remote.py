"""awr publish, start, list, status, history, logs: against a real `awr dev`, and against servers that answer oddly."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import DEADLINE_SECONDS, Awr, only_document, started, wait_for_line
from tests.integration.dev.dev_process import DevProcess

from workflow_runtime.frontends.cli.progress import STATUS_COLUMNS

MOCKS = """\
agents:
  thinker: {return: {answer: 42}}
  sleeper: {delay: 3600}
  tired: {raise: {type: tired, message: not today}}
"""
SLOW = "workflow: {id: slow, nodes: [{id: a, type: agent, agent: sleeper}]}\n"
FAILING = "workflow: {id: 失败, nodes: [{id: 甲, type: agent, agent: tired}]}\n"
BROKEN = "workflow:\n  id: broken\n  nodes:\n    - {id: a, type: tool}\n"


@pytest.fixture(scope="session")
def dev_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one `awr dev` of all tests here; each takes workflows that no other one counts."""
    folder = tmp_path_factory.mktemp("dev")
    (folder / "mocks.yaml").write_text(MOCKS, "utf-8")
    (folder / "definitions").mkdir()
    log = folder / "log"
    with DevProcess(log, "--mocks", folder / "mocks.yaml", "--definitions", folder / "definitions") as process:
        yield process.url


@pytest.fixture
def dev(dev_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWR_URL", dev_url)
    monkeypatch.delenv("AWR_TOKEN", raising=False)
    return dev_url


@pytest.fixture
def published(dev: str, awr: Awr, chain: Path) -> str:  # noqa: ARG001
    assert awr("publish", chain).exit_code == 0
    return "chain"


def written(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.usefixtures("dev")
def test_published_files_are_named_with_their_versions(awr: Awr) -> None:
    path = written("v.yaml", "workflow: {id: 版本, nodes: [{id: a, type: tool, tool: echo}]}\n")
    for _ in range(2):  # the same again changes nothing
        assert awr("publish", path).stdout == "published 版本 version 1  v.yaml\n"
    written("v.yaml", "workflow: {id: 版本, nodes: [{id: b, type: tool, tool: echo}]}\n")
    [entry] = only_document(awr("publish", path, "--json").stdout)["published"]
    assert (entry["file"], entry["workflow_id"], entry["version"]) == ("v.yaml", "版本", 2)


@pytest.mark.usefixtures("dev")
def test_nothing_is_published_unless_all_is_valid(awr: Awr) -> None:
    good = written("good.yaml", "workflow: {id: never, nodes: [{id: a, type: tool, tool: echo}]}\n")
    result = awr("publish", good, written("broken.yaml", BROKEN), "--json")
    assert result.exit_code == 1
    error = only_document(result.stdout)["error"]
    assert error["code"] == "invalid_definition"
    assert [(finding["file"], finding["line"]) for finding in error["findings"]] == [("broken.yaml", 4)]
    assert "4 |     - {id: a, type: tool}" in result.stderr
    assert awr("start", "never").exit_code == 1


@pytest.mark.usefixtures("dev")
def test_two_files_of_one_workflow_are_not_published_together(awr: Awr, chain: Path) -> None:
    other = written("other.yaml", chain.read_text("utf-8"))
    result = awr("publish", chain, other)
    assert result.exit_code == 1
    assert "defines the workflow `chain`, too" in result.stderr


def test_warnings_of_the_api_are_shown_with_their_lines(awr: Awr, dev: str) -> None:  # noqa: ARG001
    path = written("w.yaml", "workflow: {id: w, nodes: [{id: a, type: tool, tool: nobody_knows}]}\n")
    result = awr("publish", path)
    assert result.exit_code == 0
    assert "w.yaml:1:" in result.stderr
    assert "nobody_knows" in result.stderr


def test_a_start_prints_the_id_and_nothing_else(awr: Awr, published: str) -> None:
    result = awr("start", published, "-i", '{"n": 1}')
    assert result.exit_code == 0
    assert result.stdout.startswith("ex-")
    assert len(result.stdout.split()) == 1
    document = only_document(awr("start", published, "-i", '{"n": 1}', "--json").stdout)
    assert document.keys() == {"execution_id", "workflow_id"}


def test_the_same_key_starts_once(awr: Awr, published: str) -> None:
    first, again = (awr("start", published, "--key", "k1", "-i", '{"n": 1}') for _ in range(2))
    assert first.stdout == again.stdout
    conflict = awr("start", published, "--key", "k1", "-i", '{"n": 2}', "--json")
    assert conflict.exit_code == 1
    assert only_document(conflict.stdout)["error"]["code"] == "conflict"


def test_who_waits_sees_what_happens_and_how_it_ends(awr: Awr, published: str) -> None:
    result = awr("start", published, "-i", '{"n": 1}', "--wait", 120)
    assert result.exit_code == 0
    assert f"{'success':<{STATUS_COLUMNS}}  a" in result.stderr
    assert result.stdout.startswith("chain version 1 completed in ")
    assert json.loads(result.stdout.partition("output\n")[2]) == {"answer": 42}
    document = only_document(awr("start", published, "-i", '{"n": 1}', "--wait", 120, "--json").stdout)
    assert document["status"] == "completed"
    assert document["output"] == {"answer": 42}


@pytest.mark.usefixtures("dev")
def test_a_failure_exits_3_for_who_waits_and_0_for_who_only_looks(awr: Awr) -> None:
    awr("publish", written("f.yaml", FAILING))
    result = awr("start", "失败", "--wait", 120, "--json")
    document = only_document(result.stdout)
    assert result.exit_code == 3
    assert document["error"] == {"type": "tired", "message": "not today", "node": "甲"}
    assert awr("status", document["execution_id"], "--watch").exit_code == 3
    shown = awr("status", document["execution_id"])
    assert shown.exit_code == 0
    assert "failed: node 甲: tired: not today" in shown.stdout
    assert "tired: not today" in awr("list", "失败", "--status", "failed").stdout


@pytest.mark.usefixtures("dev")
def test_what_has_not_ended_in_time_goes_on(awr: Awr) -> None:
    awr("publish", written("s.yaml", SLOW))
    result = awr("start", "slow", "--wait", 0, "--json")
    assert result.exit_code == 124
    execution_id = only_document(result.stdout)["execution_id"]
    assert f"awr status {execution_id} --watch --url http://127.0.0.1:" in result.stderr
    assert only_document(awr("status", execution_id, "--json").stdout)["status"] == "running"


def test_ctrl_c_ends_the_watching_not_the_execution(awr: Awr, dev: str) -> None:
    awr("publish", written("s.yaml", SLOW))
    process = started("start", "slow", "--wait", 600, "--json", "--url", dev)
    assert process.stderr is not None
    execution_id = process.stderr.readline().split()[-1]  # "started ID"
    wait_for_line(process, f"{'running':<{STATUS_COLUMNS}}  a")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130
    assert only_document(stdout)["error"]["code"] == "interrupted"
    assert "Traceback" not in stderr
    assert only_document(awr("status", execution_id, "--json").stdout)["status"] == "running"


def test_lists_are_the_newest_first_and_say_when_there_is_more(awr: Awr, published: str) -> None:
    ids = [awr("start", published, "-i", '{"n": 1}').stdout.strip() for _ in range(2)]
    assert ids[1] in awr("list", published).stdout.splitlines()[0]
    one = awr("list", published, "--limit", 1)
    assert len(one.stdout.splitlines()) == 1
    assert "--limit shows more" in one.stderr
    found = only_document(awr("list", published, "--json").stdout)["executions"]
    assert [entry["execution_id"] for entry in found[:2]] == ids[::-1]
    workflows = only_document(awr("list", "--json").stdout)["workflows"]
    assert published in [entry["workflow_id"] for entry in workflows]
    assert "version 1" in awr("list").stdout
    of_all = [awr("list", *words).stdout for words in (("--all",), ("--since", "1h"))]
    assert all(f"{ids[1]}  {published}" in shown for shown in of_all)


def test_an_empty_list_is_no_error_but_a_workflow_there_is_not_is_one(awr: Awr, published: str) -> None:
    none = awr("list", published, "--status", "suspended", "--json")
    assert (none.exit_code, only_document(none.stdout)) == (0, {"executions": []})
    nobody = awr("list", "nobody", "--json")
    assert (nobody.exit_code, only_document(nobody.stdout)["error"]["code"]) == (1, "not_found")


def test_a_history_tells_what_came_in_and_what_went_out(awr: Awr, published: str) -> None:
    document = only_document(awr("start", published, "-i", '{"n": 1}', "--wait", 120, "--json").stdout)
    lines = awr("history", document["execution_id"]).stdout.splitlines()
    assert lines[0].split() == ["1", "0.00", "s", "execution_started"]
    assert any(line.strip() == "→ run_node a" for line in lines)
    entries = only_document(awr("history", document["execution_id"], "--json").stdout)["entries"]
    assert [entry["version"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["commands"][-1]["detail_type"] == "execution.completed"


def test_logs_of_awr_dev_are_those_of_the_execution(awr: Awr, published: str) -> None:
    first, second = (only_document(awr("start", published, "--wait", 120, "--json").stdout) for _ in range(2))
    lines = awr("logs", first["execution_id"], "--since", "10m").stdout
    assert "execution of chain pending" in lines
    assert "execution completed" in lines
    assert first["execution_id"] not in lines.replace(f"/executions/{first['execution_id']}", "")
    assert second["execution_id"] not in lines
    shown = only_document(awr("logs", first["execution_id"], "--json").stdout)["lines"]
    assert {"@timestamp", "level", "message"} <= shown[0].keys()
    nothing = awr("logs", "ex-nobody")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "--since looks further back" in nothing.stderr


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize("command", ["status", "history"])
def test_an_execution_there_is_not_is_said_so(awr: Awr, command: str) -> None:
    result = awr(command, "ex-none", "--json")
    assert result.exit_code == 1
    assert only_document(result.stdout)["error"]["code"] == "not_found"


def test_input_that_the_workflow_refuses_exits_1(awr: Awr, published: str) -> None:
    result = awr("start", published, "-i", "[1]", "--json")
    assert result.exit_code == 1
    assert only_document(result.stdout)["error"]["code"]


def test_a_server_that_is_not_there_exits_6_and_asks_for_awr_dev(awr: Awr) -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else can take the port meanwhile
        taken.bind(("127.0.0.1", 0))
        result = awr("list", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}", "--json")
    assert result.exit_code == 6
    assert "is `awr dev` running?" in only_document(result.stdout)["error"]["hint"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--url", "localhost:8080"), "http://localhost:8080"),
        (("list", "--url", "http://"), "not an http:// or https:// address"),
        (("list", "--url", "http://a:99999"), "not an http:// or https:// address"),
        (("list", "--url", "ftp://a"), "not an http:// or https:// address"),
        (("list", "--token", "secret\nsecret"), "line breaks"),
        (("list", "w", "--all"), "of all workflows, not only those of 'w'"),
        (("list", "--since", "yesterday"), "--since"),
        (("list", "--since", "9999999999d"), "--since"),
        (("list", "w", "--status", "done"), "done"),
        (("list", "--limit", "0"), "--limit"),
        (("start", "w", "--key", "钥"), "ASCII"),
        (("start", "w", "--wait", "nan"), "--wait"),
        (("publish",), "PATH"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_asked(awr: Awr, words: tuple[str, ...], said: str) -> None:
    result = awr(*words, "--json")
    assert result.exit_code == 2
    error = only_document(result.stdout)["error"]
    assert said in error["message"] + error.get("hint", "")
    assert "secret" not in result.output


class Answers:
    """A server that gives fixed answers by path; ``seen``: path and headers of each request."""

    def __init__(self) -> None:
        self.by_path: dict[str, Any] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                answers.seen.append((self.path, headers))
                answer = answers.by_path.get(self.path, answers.by_path.get(self.path.partition("?")[0]))
                status, value = answer if isinstance(answer, tuple) else (200, answer)
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/prod"


@pytest.fixture
def answers() -> Iterator[Answers]:
    answers = Answers()
    thread = threading.Thread(target=answers.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield answers
    answers.server.shutdown()
    thread.join()
    answers.server.server_close()


def execution(**members: Any) -> dict[str, Any]:
    head = {"execution_id": "ex-1", "workflow_id": "w", "workflow_version": 1, "status": "completed", "error": None}
    times = {"started_at": "2026-01-31T12:00:00.000Z", "ended_at": "2026-01-31T12:00:01.000Z"}
    return {**head, **times, "input": {}, "output": None, "node_executions": {}, **members}


def test_a_token_goes_with_every_request_to_the_path_of_the_url(
    awr: Awr, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.by_path["/prod/workflows"] = answers.by_path["/prod/freezes"] = {"items": [], "next_cursor": None}
    monkeypatch.setenv("AWR_TOKEN", "t-1")
    assert awr("list", "--url", answers.url).exit_code == 0
    assert awr("list", "--url", f"{answers.url}/", "--token", "t-2").exit_code == 0
    assert [headers["authorization"] for _, headers in answers.seen] == ["Bearer t-1"] * 2 + ["Bearer t-2"] * 2


def test_lists_are_read_page_by_page_up_to_the_limit(awr: Awr, answers: Answers) -> None:
    def items(count: int) -> list[dict[str, Any]]:
        return [{"workflow_id": "w", "version": 1, "created_at": "2026-01-31T12:00:00.000Z"}] * count

    answers.by_path["/prod/freezes"] = (404, {})
    answers.by_path["/prod/workflows?limit=100"] = {"items": items(100), "next_cursor": "c"}
    answers.by_path["/prod/workflows?limit=100&cursor=c"] = {"items": items(100), "next_cursor": None}
    result = awr("list", "--limit", 150, "--url", answers.url, "--json")
    assert len(only_document(result.stdout)["workflows"]) == 150
    assert "--limit shows more" in result.stderr


def test_a_cancelled_execution_exits_4(awr: Awr, answers: Answers) -> None:
    answers.by_path["/prod/executions/ex-1"] = execution(status="cancelled")
    assert awr("status", "ex-1", "--watch", "--url", answers.url).exit_code == 4


def test_nodes_that_the_api_left_out_are_said_to_be_left_out(awr: Awr, answers: Answers) -> None:
    answers.by_path["/prod/executions/ex-1"] = execution(node_executions={"truncated": True, "href": "/x"})
    result = awr("status", "ex-1", "--watch", "--url", answers.url)
    assert result.exit_code == 0
    assert "too many nodes" in result.stdout


@pytest.mark.parametrize("command", [("list",), ("status", "ex-1"), ("history", "ex-1")])
@pytest.mark.parametrize("answer", [b"<html>", {"hello": 1}, [1], None])
def test_what_is_not_this_api_is_said_to_be_none(
    awr: Awr, answers: Answers, command: tuple[str, ...], answer: Any
) -> None:
    for path in ("workflows", "executions/ex-1", "executions/ex-1/history"):
        answers.by_path[f"/prod/{path}"] = answer
    result = awr(*command, "--url", answers.url, "--json")
    assert result.exit_code == 1
    assert only_document(result.stdout)["error"]["code"] == "unexpected_answer"


def test_an_api_that_wants_credentials_names_the_option(awr: Awr, answers: Answers) -> None:
    answers.by_path["/prod/workflows"] = (401, {"message": "Unauthorized"})
    result = awr("list", "--url", answers.url)
    assert result.exit_code == 1
    assert "Unauthorized" in result.stderr
    assert "--token" in result.stderr
