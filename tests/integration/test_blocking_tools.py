"""Blocking tools in one process: they run side by side, and beside what runs them. Shown by tools that wait for each
other, which would wait in vain if one had to end before the next began."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime

AT_ONCE = 24  # more than a batch of a queue, and than cores
TOOLS = f'''
import hashlib, threading

from workflow_runtime.sdk import tool

SECONDS_MAX = 120
everybody = threading.Barrier({AT_ONCE})
released = threading.Event()

@tool
def meet() -> str:
    """Returns once all of them have begun."""
    everybody.wait(SECONDS_MAX)
    return hashlib.sha256(bytes(1 << 16)).hexdigest()[:4]

@tool
def hold() -> bool:
    return released.wait(SECONDS_MAX)

@tool
async def release(x: str) -> str:
    released.set()
    return x
'''
ECHOED = 12


def run(tmp_path: Path, nodes: list[dict[str, object]]) -> tuple[str, dict[str, object]]:
    """Status of an execution of these nodes on a file, and the outputs of its nodes."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "blocking.py").write_text(TOOLS)
    with LocalRuntime(open_backend(tmp_path / "state.db"), tmp_path) as runtime:
        runtime.services.catalog.publish(json.dumps({"workflow": {"id": "w", "nodes": nodes}}).encode())
        id = runtime.services.starter.start("w", {})
        status = asyncio.run(runtime.run_until_ended(id))
        documents = runtime.services.documents
        return status, {str(node["id"]): json.loads(documents.node(id, str(node["id"])).output) for node in nodes}


def test_blocking_tools_run_side_by_side(tmp_path: Path) -> None:
    status, outputs = run(tmp_path, [{"id": f"n{n}", "type": "tool", "tool": "meet"} for n in range(AT_ONCE)])
    assert status == "completed"
    assert len(outputs) == AT_ONCE
    assert len(set(outputs.values())) == 1


def test_other_nodes_run_while_one_blocks(tmp_path: Path) -> None:
    echoes = [
        {"id": f"n{n}", "type": "tool", "tool": "echo", "inputs": {"x": f"${{n{n - 1}.x}}" if n else "go"}}
        for n in range(ECHOED)
    ]
    last = {"id": "last", "type": "tool", "tool": "release", "inputs": {"x": f"${{n{ECHOED - 1}.x}}"}}
    status, outputs = run(tmp_path, [{"id": "held", "type": "tool", "tool": "hold"}, *echoes, last])
    assert status == "completed"
    assert outputs["held"] is True
    assert outputs["last"] == "go"
