"""A process that dies in the middle of a fan-out, on a file: the next one goes on, nothing is lost, and no attempt that
was granted is run twice."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime

WIDTH = 25  # three batches of a queue
DYING = (3, 14)  # how many calls have begun when a process dies
TOOLS = """
import os, threading
from pathlib import Path

from workflow_runtime.sdk import NodeContext, tool

calls = 0
one_by_one = threading.Lock()

@tool
def mark(x: int, context: NodeContext) -> int:
    global calls
    with one_by_one:
        calls += 1
        with Path(os.environ["MARKS"]).open("a") as marks:
            marks.write(f"{context.path} {context.attempt}\\n")
        if calls == int(os.environ.get("DIES_AT", 0)):
            os._exit(9)
    return x
"""
SCRIPT = """
import sys
from pathlib import Path
from tests.processes.test_killed_process import go_on
go_on(Path(sys.argv[1]))
"""


def nodes() -> list[dict[str, object]]:
    reads = ("start", "head")
    return [
        {"id": name, "type": "tool", "tool": "mark", "inputs": {"x": f"${{{reads[name != 'head']}}}"}}
        for name in ("head", *(f"n{number}" for number in range(WIDTH)))
    ]


def go_on(folder: Path) -> tuple[str, list[object]]:
    """Run the execution to its end, from wherever it stands: its status, and the outputs of its nodes."""
    with LocalRuntime(open_backend(folder / "state.db"), folder) as runtime:
        runtime.services.catalog.publish(json.dumps({"workflow": {"id": "w", "nodes": nodes()}}).encode())
        id = runtime.services.starter.start("w", {"start": 7}, start_key="once")
        status = asyncio.run(runtime.run_until_ended(id))
        documents = runtime.services.documents
        return status, [json.loads(documents.node(id, str(node["id"])).output) for node in nodes()]


def test_a_process_that_dies_loses_nothing_and_repeats_no_attempt(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "marking.py").write_text(TOOLS)
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    root = Path(__file__).parents[2]
    for dies_at in DYING:
        paths = os.pathsep.join((str(root), str(root / "functions")))
        environ = {**os.environ, "DIES_AT": str(dies_at), "PYTHONPATH": paths}
        assert subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], env=environ, check=False).returncode == 9
    status, outputs = go_on(tmp_path)
    assert status == "completed"
    assert outputs == [7] * (WIDTH + 1)
    marks = Counter((tmp_path / "marks").read_text().splitlines())
    assert max(marks.values()) == 1, f"run twice: {marks}"
