"""Blocking tools in one process, which give each a thread: how many run at once, and how many cores they keep busy.

    python tests/benchmarks/bench_blocking.py [--json] [--smoke]

Tools that wait (as for a database), and tools whose work gives the interpreter's lock back (hashing, as compressing or
numerics do). All nodes of an execution may begin at once. ``at_once``: the time that the tools take one after another,
in times of the execution's; ``cores``: CPU time in times of it. The best of several executions in a warm process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime

ROUNDS = 3
TOOLS = """
import hashlib, time

from workflow_runtime.sdk import tool

@tool
def wait(ms: int) -> None:
    time.sleep(ms / 1000)

@tool
def digest(megabytes: int) -> str:
    return hashlib.sha256(bytes(megabytes << 20)).hexdigest()
"""


def measure(smoke: bool = False) -> list[dict[str, Any]]:
    shapes = (("wait", {"ms": 5 if smoke else 100}, 32), ("digest", {"megabytes": 1 if smoke else 64}, 8))
    return [_measure(tool, inputs, count, 1 if smoke else ROUNDS) for tool, inputs, count in shapes]


def _measure(tool: str, inputs: dict[str, int], count: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tools").mkdir()
        (folder / "tools" / "blocking.py").write_text(TOOLS)
        with LocalRuntime(open_backend(folder / "state.db"), folder) as runtime:
            alone_ms, _ = min(_timed(runtime, tool, inputs, 1) for _ in range(rounds))
            wall_ms, cpu_ms = min(_timed(runtime, tool, inputs, count) for _ in range(rounds))
    (amount,) = inputs.items()
    return {
        "shape": f"{count} × {tool} ({amount[1]} {amount[0]})",
        "wall_ms": round(wall_ms, 1),
        "cpu_ms": round(cpu_ms, 1),
        "at_once": round(alone_ms * count / wall_ms, 1),
        "cores": round(cpu_ms / wall_ms, 2),
    }


def _timed(runtime: LocalRuntime, tool: str, inputs: dict[str, int], count: int) -> tuple[float, float]:
    nodes = [{"id": f"n{number}", "type": "tool", "tool": tool, "inputs": inputs} for number in range(count)]
    runtime.services.catalog.publish(json.dumps({"workflow": {"id": f"w{count}", "nodes": nodes}}).encode())
    wall, cpu = time.perf_counter(), time.process_time()
    status = asyncio.run(_run(runtime, f"w{count}"))
    assert status == "completed", status
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


async def _run(runtime: LocalRuntime, workflow: str) -> str:
    return await runtime.run_until_ended(runtime.services.starter.start(workflow, {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    rows = measure(arguments.smoke)
    if arguments.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        print(
            f"{row['shape']:28} wall {row['wall_ms']:>7.1f} ms  CPU {row['cpu_ms']:>7.1f} ms"
            f"  at once {row['at_once']:>5.1f}  cores {row['cores']:.2f}"
        )


if __name__ == "__main__":
    main()
