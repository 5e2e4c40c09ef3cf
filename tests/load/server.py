"""What one `awr serve` carries: executions of four no-op nodes, started over HTTP as fast as they are accepted.

    python tests/load/server.py [--executions 500] [--connections 32]

Starts its own server on a free loopback port with a database in a temporary directory. Prints one JSON document: starts
and nodes a second over the whole run, milliseconds from request to answer and from start to end of single executions
before it, and what the server takes of processors, memory and disk. On a machine that does much else, what it takes of
processors is the figure to go by: a server is one process, whose limit is one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT)]

from tests.benchmarks.load_dev import NODES, WORKFLOW  # noqa: E402
from tests.integration.dev.dev_process import SERVE, DevProcess  # noqa: E402

from workflow_runtime.frontends.api.route import Scope  # noqa: E402
from workflow_runtime.frontends.serve.tokens import add_token  # noqa: E402

SINGLE = 50  # executions one by one: what latency is without load
LOOK_SECONDS = 0.2
ENDED = ("completed", "failed", "cancelled")


async def measured(server: DevProcess, token: str, executions: int, connections: int) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=connections)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=120) as client:
        (await client.post("/workflows", json=WORKFLOW)).raise_for_status()
        answers, wholes = [], []
        for number in range(SINGLE):
            begun = time.perf_counter()
            whole = await client.post("/workflows/load/execute?wait=20", json={"input": {"i": number}})
            wholes.append((time.perf_counter() - begun) * 1000)
            assert whole.json()["status"] == "completed"
            begun = time.perf_counter()
            await client.get(f"/executions/{whole.json()['execution_id']}")
            answers.append((time.perf_counter() - begun) * 1000)
        begun, used = time.perf_counter(), server.cpu_seconds
        starts = (client.post("/workflows/load/execute", json={"input": {"i": n}}) for n in range(executions))
        ids = [answer.raise_for_status().json()["execution_id"] for answer in await asyncio.gather(*starts)]
        accepted = time.perf_counter() - begun
        for id in reversed(ids):  # the last one first: what is looked at costs the server as well
            while (await client.get(f"/executions/{id}?include=output")).json()["status"] not in ENDED:
                await asyncio.sleep(LOOK_SECONDS)
        seconds = time.perf_counter() - begun
    return {
        "executions": executions,
        "accepted_a_second": round(executions / accepted),
        "executions_a_second": round(executions / seconds, 1),
        "cpu_ms_an_execution": round((server.cpu_seconds - used) * 1000 / executions, 1),
        "nodes_a_second": round(executions * NODES / seconds),
        "start_to_end_ms_median": round(statistics.median(wholes), 1),
        "read_ms_median": round(statistics.median(answers), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--executions", type=int, default=500)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = add_token(folder / "tokens.yaml", "load", [scope for scope in Scope if scope is not Scope.OPEN])
        with DevProcess(folder / "log", "--db", folder / "awr.db", program=SERVE) as server:
            found = asyncio.run(measured(server, token, options.executions, options.connections))
            found["server_mb"] = server.resident_mb
            server.stop()
        found["disk_kb_an_execution"] = round((folder / "awr.db").stat().st_size / 1024 / options.executions, 1)
    print(json.dumps({**found, "load_average": round(os.getloadavg()[0], 1), "processors": os.cpu_count()}))


if __name__ == "__main__":
    main()
