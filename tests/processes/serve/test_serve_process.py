"""`awr serve` as a process: nothing is lost however it ends, tokens are noticed, backups are whole."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.benchmarks.load_dev import Load
from tests.integration.dev.dev_process import SERVE, DevProcess, refused
from tests.processes.living import PATIENCE_SECONDS, eventually

from workflow_runtime.backends.embedded.copies import check_backup, restore
from workflow_runtime.frontends.api.route import Scope
from workflow_runtime.frontends.serve.tokens import add_token, revoke_token

EXECUTIONS = 80
ALL = tuple(scope for scope in Scope if scope is not Scope.OPEN)
WAITING = """
workflow:
  id: waiting
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {i: "${i}"}}
    - {id: b, type: control, subtype: wait, duration: 3, dependencies: [a]}
    - {id: c, type: tool, tool: echo, inputs: {i: "${a.i}"}, dependencies: [b]}
  outputs: {i: "${c.i}"}
"""


def serve(log: Path, db: Path, *arguments: str | Path) -> DevProcess:
    return DevProcess(log, "--db", db, "--tokens", db.parent / "tokens.yaml", *arguments, program=SERVE)


def asking(headers: dict[str, str]) -> httpx.Client:
    return httpx.Client(headers=headers, timeout=PATIENCE_SECONDS)


def ask(url: str, token: str | None = None, method: str = "GET") -> httpx.Response:
    headers = bearer(token) if token else {}
    return httpx.request(method, url, headers=headers, json=None if method == "GET" else {}, timeout=PATIENCE_SECONDS)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def token(tmp_path: Path) -> str:
    return add_token(tmp_path / "tokens.yaml", "tests", ALL)


@pytest.mark.parametrize("end", [DevProcess.kill, DevProcess.stop], ids=["kill -9", "SIGTERM"])
def test_no_execution_is_lost_or_run_twice_however_the_server_ends(
    tmp_path: Path, token: str, end: Callable[[DevProcess], object]
) -> None:
    load = Load(tmp_path, EXECUTIONS, kills=1, start=serve, end=end, headers=bearer(token))
    try:
        result = asyncio.run(load.run())
    finally:
        load.close()
    assert result["different_ids"] == result["right_outputs"] == EXECUTIONS
    assert result["statuses"] == {"completed": EXECUTIONS}


def test_a_backup_under_load_is_a_database_in_which_all_its_executions_end(tmp_path: Path, token: str) -> None:
    headers, backup = bearer(token), tmp_path / "backup.db"
    with (
        serve(tmp_path / "log", tmp_path / "awr.db") as server,
        asking(headers) as client,
    ):
        yaml = {"content-type": "application/yaml"}
        client.post(f"{server.url}/workflows", content=WAITING, headers=yaml).raise_for_status()

        def start(number: int) -> None:
            client.post(f"{server.url}/workflows/waiting/execute", json={"input": {"i": number}}).raise_for_status()

        with ThreadPoolExecutor(4) as pool:
            starts = [pool.submit(start, number) for number in range(100)]
            for done in starts[:20]:
                done.result()  # the copy is made in the middle
            copied = client.get(f"{server.url}/backup")
            for done in starts:
                done.result()
        backup.write_bytes(copied.content)
    check_backup(backup)
    restore(backup, tmp_path / "restored.db")
    with (
        serve(tmp_path / "log2", tmp_path / "restored.db") as server,
        asking(headers) as client,
    ):
        ended = executions_when_ended(client, server.url)
        assert {document["status"] for document in ended} == {"completed"}
        assert 20 <= len(ended) <= 100
        for document in ended[:5]:
            whole = client.get(f"{server.url}/executions/{document['execution_id']}?include=input,output").json()
            assert whole["output"] == whole["input"]


def executions_when_ended(client: httpx.Client, url: str) -> list[dict[str, str]]:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found: list[dict[str, str]] = client.get(f"{url}/executions?workflow=waiting&limit=100").json()["items"]
        if found and all(document["status"] in ("completed", "failed", "cancelled") for document in found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"still open: {found}")


def test_tokens_are_noticed_while_it_runs_and_a_broken_file_changes_nothing(tmp_path: Path, token: str) -> None:
    file = tmp_path / "tokens.yaml"
    with serve(tmp_path / "log", tmp_path / "awr.db") as server:
        url = f"{server.url}/workflows"
        assert ask(url).status_code == 401
        assert ask(url, "awr_wrong").status_code == 401
        assert ask(url, token).status_code == 200
        reader = add_token(file, "读者", [Scope.READ])
        eventually(lambda: ask(url, reader).status_code == 200)
        answer = ask(url, reader, "POST")
        assert answer.status_code == 403
        assert answer.json()["detail"] == "this needs the scope operate; the token '读者' has read"
        good = file.read_text("utf-8")
        file.write_text("- {name: x}\n")
        eventually(lambda: "the tokens stay as they were" in server.log.read_text())
        assert ask(url, reader).status_code == 200
        file.write_text(good, "utf-8")
        revoke_token(file, "读者")
        eventually(lambda: ask(url, reader).status_code == 401)


def test_health_is_open_and_definitions_are_read_again_on_hang_up(tmp_path: Path, token: str) -> None:
    workflows = tmp_path / "definitions" / "workflows"
    workflows.mkdir(parents=True)
    with serve(tmp_path / "log", tmp_path / "awr.db", "--definitions", tmp_path / "definitions") as server:
        assert ask(f"{server.url}/health/live").json() == {"status": "ok"}
        assert ask(f"{server.url}/health/ready").json() == {"status": "ok"}
        (workflows / "waiting.yaml").write_text(WAITING)
        server.hang_up()
        url = f"{server.url}/workflows/waiting"
        eventually(lambda: ask(url, token).status_code == 200)
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert lines[-1]["message"] == "stopped"
    assert {"timestamp", "level", "logger", "message"} <= lines[0].keys()


def test_without_tokens_it_does_not_start_and_says_how_to_make_one(tmp_path: Path) -> None:
    said = refused("--port", "0", "--db", tmp_path / "awr.db", program=SERVE)
    assert "awr tokens create NAME --scope run --file" in said
