"""What a node costs on the embedded backend, through the real handlers: wall and CPU milliseconds, memory, file size.

    python tests/benchmarks/bench_embedded.py [--json] [--smoke]

A no-op node (the built-in tool ``echo``) in a chain of 100, in 1→200→1, in 10 layers of 20, in 100 concurrent chains
of 5, and in one graph of 5,000. Each time is the best of several executions in a warm process. Sizes are of the file of
all of them: with the write-ahead log as it stands at the end, and closed, when the log has gone into the file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime

ROUNDS = 5
Node = dict[str, Any]


def echo(id: str, reads: str = "start", dependencies: tuple[str, ...] = ()) -> Node:
    node: Node = {"id": id, "type": "tool", "tool": "echo", "inputs": {"x": f"${{{reads}}}"}}
    return {**node, "dependencies": list(dependencies)} if dependencies else node


def chain(count: int) -> list[Node]:
    return [echo("n0"), *(echo(f"n{number}", f"n{number - 1}.x") for number in range(1, count))]


def fan_out(width: int) -> list[Node]:
    middle = [echo(f"n{number}", "head.x") for number in range(width)]
    join = {"id": "join", "type": "aggregation", "strategy": "collect", "dependencies": [node["id"] for node in middle]}
    return [echo("head"), *middle, join]


def layered(layers: int, width: int) -> list[Node]:
    """Each node depends on three of the layer above."""
    nodes = [echo(f"n0_{place}") for place in range(width)]
    for layer in range(1, layers):
        for place in range(width):
            above = tuple(f"n{layer - 1}_{(place + step) % width}" for step in range(3))
            nodes.append(echo(f"n{layer}_{place}", f"{above[0]}.x", above))
    return nodes


def shapes(smoke: bool) -> Iterator[tuple[str, list[Node], int]]:
    """Name, nodes of one execution, how many executions at once."""
    yield "chain of 100", chain(10 if smoke else 100), 1
    yield "1 → 200 → 1", fan_out(10 if smoke else 200), 1
    yield "10 layers of 20", layered(3 if smoke else 10, 5 if smoke else 20), 1
    yield "100 chains of 5 at once", chain(5), 10 if smoke else 100
    yield "5,000 nodes in layers of 20", layered(5 if smoke else 250, 20), 1


def measure(smoke: bool = False) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, nodes, executions in shapes(smoke):
            paths = (None, Path(folder) / f"{len(rows)}.db")
            rows += [_measure(name, nodes, executions, path, 1 if smoke else ROUNDS) for path in paths]
    return rows


def _measure(name: str, nodes: list[Node], executions: int, path: Path | None, rounds: int) -> dict[str, Any]:
    source = json.dumps({"workflow": {"id": "bench", "nodes": nodes}}).encode()
    count = len(nodes) * executions
    best = (float("inf"), float("inf"))
    with LocalRuntime(open_backend(path)) as runtime:
        runtime.services.catalog.publish(source)
        for _ in range(rounds):
            started, cpu = time.perf_counter(), time.process_time()
            asyncio.run(_run(runtime, executions))
            best = min(best, ((time.perf_counter() - started) * 1000, (time.process_time() - cpu) * 1000))
        size = _kb(path, "", "-wal")
    return {
        "shape": name,
        "backend": "memory" if path is None else "file",
        "nodes": count,
        "wall_ms_per_node": round(best[0] / count, 3),
        "cpu_ms_per_node": round(best[1] / count, 3),
        "file_kb_per_node": round(size / count / rounds, 2) if path is not None else None,
        "closed_file_kb_per_node": round(_kb(path, "") / count / rounds, 2) if path is not None else None,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _kb(path: Path | None, *suffixes: str) -> float:
    files = [path.with_name(path.name + suffix) for suffix in suffixes] if path is not None else []
    return sum(file.stat().st_size for file in files if file.exists()) / 1024


async def _run(runtime: LocalRuntime, executions: int) -> None:
    ids = [runtime.services.starter.start("bench", {"start": "hello"}) for _ in range(executions)]
    for execution_id in ids:
        status = await runtime.run_until_ended(execution_id)
        assert status == "completed", f"{execution_id} is {status}"


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
            f"{row['shape']:28} {row['backend']:7} {row['nodes']:>5,} nodes  wall {row['wall_ms_per_node']:.3f} ms/node"
            f"  cpu {row['cpu_ms_per_node']:.3f}  memory {row['peak_memory_mb']} MB"
            + (
                f"  file {row['file_kb_per_node']} KB/node ({row['closed_file_kb_per_node']} closed)"
                if row["file_kb_per_node"]
                else ""
            )
        )


if __name__ == "__main__":
    main()
