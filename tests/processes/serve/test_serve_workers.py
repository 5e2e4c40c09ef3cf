"""`awr serve --workers`: blocking tools in processes, through drains, deaths of a worker, and of the server."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.dev.dev_process import SERVE, DevProcess
from tests.processes.living import PATIENCE_SECONDS, eventually, is_running

from workflow_runtime.frontends.api.route import Scope
from workflow_runtime.frontends.serve.tokens import add_token

TOOL = """
import os, time
from pathlib import Path

from workflow_runtime.sdk import NodeContext, tool

@tool
def work(folder: str, context: NodeContext) -> dict:
    begun = Path(folder, f"begun-{context.attempt}")
    begun.with_suffix(".new").write_text(str(os.getpid()))
    begun.with_suffix(".new").rename(begun)
    while not Path(folder, "go").exists():
        time.sleep(0.02)
    return {"attempt": context.attempt}
"""
WORKFLOW = """
workflow:
  id: working
  nodes: [{id: a, type: tool, tool: work, inputs: {folder: "${folder}"}, retry_policy: {max_retries: 1, retry_delay: 0}}]
  outputs: {attempt: "${a.attempt}"}
"""  # noqa: E501


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        definitions = folder / "definitions"
        for name, text in {"tools/work.py": TOOL, "workflows/working.yaml": WORKFLOW}.items():
            (definitions / name).parent.mkdir(parents=True)
            (definitions / name).write_text(text)
        token = add_token(folder / "tokens.yaml", "tests", [scope for scope in Scope if scope is not Scope.OPEN])
        self.client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS)

    def serve(self) -> DevProcess:
        arguments = ("--db", self.folder / "awr.db", "--definitions", self.folder / "definitions", "--workers", "2")
        return DevProcess(self.folder / "log", *arguments, program=SERVE)

    def start(self, server: DevProcess) -> str:
        body = {"input": {"folder": str(self.folder)}}
        answer = self.client.post(f"{server.url}/workflows/working/execute", json=body).raise_for_status()
        execution_id: str = answer.json()["execution_id"]
        return execution_id

    def begun(self, attempt: int) -> int:
        """The process that the attempt has, once it has begun."""
        file = self.folder / f"begun-{attempt}"
        eventually(file.exists)
        return int(file.read_text())

    def document(self, server: DevProcess, execution_id: str) -> dict[str, Any]:
        url = f"{server.url}/executions/{execution_id}?include=output,nodes"
        document: dict[str, Any] = self.client.get(url).json()
        return document

    def ended(self, server: DevProcess, execution_id: str) -> dict[str, Any]:
        eventually(lambda: self.document(server, execution_id)["ended_at"] is not None)
        return self.document(server, execution_id)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_worker_that_is_killed_costs_an_attempt(bench: Bench) -> None:
    with bench.serve() as server:
        execution_id = bench.start(server)
        os.kill(bench.begun(1), signal.SIGKILL)
        bench.begun(2)
        (bench.folder / "go").touch()
        document = bench.ended(server, execution_id)
        assert (document["status"], document["output"]) == ("completed", {"attempt": 2})
        runs = bench.client.get(f"{server.url}/executions/{execution_id}/nodes/a").json()["runs"]
        assert sorted(run["error"]["type"] for run in runs if run["error"]) == ["worker_lost"]


def test_sigterm_lets_a_worker_end_what_it_does(bench: Bench) -> None:
    with bench.serve() as server, ThreadPoolExecutor(1) as pool:
        execution_id = bench.start(server)
        pid = bench.begun(1)
        stopping = pool.submit(server.stop)
        eventually(lambda: "stopping" in server.log.read_text())
        (bench.folder / "go").touch()
        assert stopping.result() == 0
        assert not is_running(pid)
    with bench.serve() as server:
        assert bench.ended(server, execution_id)["output"] == {"attempt": 1}


def test_workers_end_with_a_server_that_is_killed(bench: Bench) -> None:
    with bench.serve() as server:
        execution_id = bench.start(server)
        pid = bench.begun(1)
        server.kill()
    eventually(lambda: not is_running(pid))
    (bench.folder / "go").touch()
    with bench.serve() as server:
        assert bench.ended(server, execution_id)["output"] == {"attempt": 2}
