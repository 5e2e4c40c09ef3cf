"""Authors' tools that raise more than ordinary errors, at every door: the node fails, and nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.cli.conftest import AWR, DEADLINE_SECONDS, environment, wait_for_line
from tests.integration.dev.dev_process import DevProcess

TOOLS = """
import asyncio, sys, time
from workflow_runtime.sdk import tool

@tool
async def cancelled():
    task = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0)
    task.cancel()
    await task

@tool
async def exits():
    sys.exit(0)

@tool
def exits_blocking():
    sys.exit(0)

@tool
async def exits_in_a_task():
    await asyncio.gather(exits(), asyncio.sleep(0))

@tool
async def interrupts():
    raise KeyboardInterrupt

@tool
async def groups():
    raise BaseExceptionGroup("g", [SystemExit(0), ValueError("x")])

class Mute(Exception):
    def __str__(self):
        raise SystemExit(0)

@tool
async def mute():
    raise Mute

class Quits:
    def __init__(self, text): ...
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        from pydantic_core import core_schema
        return core_schema.no_info_plain_validator_function(lambda value: sys.exit(0))
    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        return {}

@tool
async def quits_in_validation(a: Quits = None):
    return a

@tool
async def waits():
    print("waiting", file=sys.stderr, flush=True)
    await asyncio.Event().wait()

@tool
def blocks():
    print("blocking", file=sys.stderr, flush=True)
    time.sleep(3600)

@tool
def spins():
    print("blocking", file=sys.stderr, flush=True)
    while True: pass

@tool
async def blocks_the_loop():
    print("blocking", file=sys.stderr, flush=True)
    time.sleep(3600)

@tool
async def spins_in_the_loop():
    print("blocking", file=sys.stderr, flush=True)
    while True: pass

@tool
async def fine():
    return {"ok": True}
"""
KINDS = (
    "cancelled", "exits", "exits_blocking", "exits_in_a_task", "interrupts", "groups", "mute", "quits_in_validation",
)  # fmt: skip
BLOCKING = ("blocks", "spins", "blocks_the_loop", "spins_in_the_loop")  # for longer than any test may take
SDK = """
import sys
from workflow_runtime import SyncWorkflowEngine
with SyncWorkflowEngine.local("definitions") as engine:
    for kind in sys.argv[1:]:
        document = engine.wait(engine.execute_workflow(kind), 100)
        print(kind, document["status"], (document["error"] or {}).get("type"))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with tools, and a workflow for each kind."""
    folder = tmp_path_factory.mktemp("project")
    for kind in ("tools", "workflows"):
        (folder / "definitions" / kind).mkdir(parents=True)
    (folder / "definitions" / "tools" / "mine.py").write_text(TOOLS)
    nodes = {kind: f"tool: {kind}, timeout: 1h" for kind in (*KINDS, *BLOCKING, "waits", "fine")}
    nodes["quits_in_validation"] += ", inputs: {a: 1}"
    nodes |= {f"{kind}_too_long": f"tool: {kind}, timeout: 3" for kind in BLOCKING}
    for id, node in nodes.items():
        text = f"workflow: {{id: {id}, nodes: [{{id: a, type: tool, {node}}}]}}"
        (folder / "definitions" / "workflows" / f"{id}.yaml").write_text(text)
    return folder


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = environment()
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=project)


@pytest.mark.parametrize(
    ("kind", "backend"), [("cancelled", "embedded"), ("exits", "embedded"), ("exits_in_a_task", "moto")]
)
def test_awr_run_says_that_the_node_failed_and_exits_3(project: Path, kind: str, backend: str) -> None:
    file = f"definitions/workflows/{kind}.yaml"
    done = run(project, *AWR, "run", file, "--json", "--backend", backend)
    assert done.returncode == 3, done.stderr
    error = json.loads(done.stdout)["error"]
    assert (error["type"], error["node"]) == ("execution_error", "a")
    assert "Traceback" not in done.stderr


def test_ctrl_c_still_ends_a_run_in_the_middle_of_a_tool(project: Path) -> None:
    command = [*AWR, "run", "definitions/workflows/waits.yaml", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), cwd=project, stdout=pipe, stderr=pipe, text=True) as process:
        wait_for_line(process, "waiting")
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130
    assert json.loads(stdout)["status"] == "running"


@pytest.mark.parametrize(("kind", "number", "code", "said"), [
    *((kind, signal.SIGINT, 130, "interrupted") for kind in BLOCKING),
    (BLOCKING[0], signal.SIGTERM, 143, "stopped by SIGTERM"),
])  # fmt: skip
def test_a_signal_ends_a_run_in_the_middle_of_a_tool_that_blocks_and_it_can_be_resumed(
    project: Path, tmp_path: Path, kind: str, number: signal.Signals, code: int, said: str
) -> None:
    database = tmp_path / "runs.db"
    command = [*AWR, "run", f"definitions/workflows/{kind}.yaml", "--db", str(database)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), cwd=project, stdout=pipe, stderr=pipe, text=True) as process:
        wait_for_line(process, "blocking")
        process.send_signal(number)
        _, stderr = process.communicate(timeout=DEADLINE_SECONDS)  # an hour, if it waited for the tool
    assert process.returncode == code
    assert f"{said} while a ran" in stderr
    assert "Traceback" not in stderr
    resumed = run(project, *AWR, "run", "--resume", "--db", str(database), "--timeout", "0.5", "--json")
    assert (resumed.returncode, json.loads(resumed.stdout)["status"]) == (124, "running"), resumed.stderr


def test_ctrl_c_ends_awr_dev_while_it_imports_a_tool_that_takes_long(tmp_path: Path) -> None:
    tools = tmp_path / "definitions" / "tools"
    tools.mkdir(parents=True)
    text = "import sys, time\nfrom workflow_runtime.sdk import tool\nprint('importing', file=sys.stderr, flush=True)\n"
    (tools / "slow.py").write_text(f"{text}time.sleep(3600)\n")
    command = [*AWR, "dev", "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        wait_for_line(process, "importing")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130


def test_the_local_engine_goes_on_after_each(project: Path) -> None:
    done = run(project, sys.executable, "-c", SDK, *KINDS, "fine")
    assert done.returncode == 0, done.stderr
    expected = [f"{kind} failed execution_error" for kind in KINDS]
    assert done.stdout.splitlines() == [*expected, "fine completed None"]


def start(client: httpx.Client, workflow: str) -> str:
    return str(client.post(f"/workflows/{workflow}/execute", json={}).raise_for_status().json()["execution_id"])


def ended(client: httpx.Client, execution_id: str) -> Any:
    """The execution's document, once it has ended."""
    while (document := client.get(f"/executions/{execution_id}").json())["ended_at"] is None:
        time.sleep(0.05)
    return document


def test_awr_dev_goes_on_after_each(project: Path, tmp_path: Path) -> None:
    with DevProcess(tmp_path / "log", "--definitions", project / "definitions") as dev:
        with httpx.Client(base_url=dev.url, timeout=DEADLINE_SECONDS) as client:
            for kind in KINDS:
                assert ended(client, start(client, kind))["error"]["type"] == "execution_error", kind
            assert ended(client, start(client, "fine"))["status"] == "completed"
        assert dev.stop() == 0


def test_awr_dev_answers_while_tools_block_and_their_timeouts_hold(project: Path, tmp_path: Path) -> None:
    """The API, the dispatcher and other tools go on; a warning names who blocks; Ctrl-C ends it all."""
    with DevProcess(tmp_path / "log", "--definitions", project / "definitions") as dev:
        with httpx.Client(base_url=dev.url, timeout=DEADLINE_SECONDS) as client:
            for kind in ("blocks", "spins", "blocks_the_loop"):  # one in a loop: what begins behind it waits for it
                start(client, kind)
            while "tool 'blocks_the_loop' blocks its event loop" not in dev.log.read_text():
                client.get("/health").raise_for_status()  # in an hour, if it waited for the tools
                time.sleep(0.05)
            assert ended(client, start(client, "fine"))["status"] == "completed"
            started = [start(client, f"{kind}_too_long") for kind in BLOCKING]
            for execution_id in started:
                assert ended(client, execution_id)["error"]["message"] == "no result within 3 s"
        assert dev.interrupt() == 130
