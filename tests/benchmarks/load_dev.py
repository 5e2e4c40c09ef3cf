"""Many concurrent executions against `awr dev`, killed half-way and started again; none may be lost or run twice.

    python tests/benchmarks/load_dev.py [--executions 1000] [--kills 1]

Starts its own server on a free loopback port with a database in a temporary directory, and talks to nothing else.
Prints one JSON document; the exit code is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT)]

from tests.integration.dev.dev_process import DevProcess  # noqa: E402

EXECUTIONS_MAX = 5_000  # enough to see; more only heats the machine
CONNECTIONS_MAX = 1_000
READERS_MAX = 50  # of documents: a client with thousands of requests at once has no time for any
LOG_CHARACTERS = 20_000  # shown of the servers' log when one has answered with an error
NODES = 4
WORKFLOW = {
    "workflow": {
        "id": "load",
        "nodes": [
            {
                "id": f"n{number}",
                "type": "tool",
                "tool": "echo",
                "inputs": {"i": "${i}" if not number else f"${{n{number - 1}.i}}"},
            }
            for number in range(NODES)
        ],
        "outputs": {"i": f"${{n{NODES - 1}.i}}"},
    }
}


class Load:
    """``executions`` starts at once; the server is killed when a share of them was accepted, or ended as ``end`` does
    it. ``start`` starts a server on a database; ``headers`` are those of every request.
    """

    def __init__(
        self,
        directory: Path,
        executions: int,
        kills: int,
        *,
        start: Callable[[Path, Path], DevProcess] = lambda log, db: DevProcess(log, "--db", db),
        end: Callable[[DevProcess], object] = DevProcess.kill,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._start_on = start
        self._end = end
        self._headers = headers or {}
        self._directory = directory
        self._executions = executions
        self._kill_at = [executions * (number + 1) // (kills + 2) for number in range(kills)]
        self._accepted: dict[int, str] = {}
        self._readers = asyncio.Semaphore(READERS_MAX)
        self._server = self._start()

    def _start(self) -> DevProcess:
        return self._start_on(self._directory / "dev.log", self._directory / "dev.db")

    async def run(self) -> dict[str, Any]:
        begun = time.perf_counter()
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        async with httpx.AsyncClient(timeout=60, limits=limits, headers=self._headers) as client:
            (await client.post(f"{self._server.url}/workflows", json=WORKFLOW)).raise_for_status()
            killing = asyncio.create_task(self._kill_half_way())
            await asyncio.gather(*(self._execute(client, number) for number in range(self._executions)))
            await killing
            accepted = time.perf_counter() - begun
            documents = await asyncio.gather(*(self._document(client, number) for number in range(self._executions)))
        ended = time.perf_counter() - begun
        right = sum(document.get("output") == {"i": number} for number, document in enumerate(documents))
        statuses = Counter(str(document["status"]) for document in documents)
        return {
            "executions": self._executions,
            "different_ids": len(set(self._accepted.values())),
            "kills": len(self._kill_at),
            "statuses": dict(statuses),
            "right_outputs": right,
            "seconds_until_all_accepted": round(accepted, 2),
            "seconds_until_all_ended": round(ended, 2),
        }

    def last_of_log(self) -> str:
        """What the servers have written last."""
        return (self._directory / "dev.log").read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]

    def close(self) -> None:
        self._server.stop()

    async def _kill_half_way(self) -> None:
        for share in self._kill_at:
            while len(self._accepted) < share:
                await asyncio.sleep(0.005)
            await asyncio.to_thread(self._end, self._server)
            self._server = await asyncio.to_thread(self._start)

    async def _execute(self, client: httpx.AsyncClient, number: int) -> None:
        """Start until it is acknowledged, always with the same key."""
        answer = await self._persist(
            lambda: client.post(
                f"{self._server.url}/workflows/load/execute",
                json={"input": {"i": number}},
                headers={"idempotency-key": f"load-{number}"},
            )
        )
        self._accepted[number] = answer["execution_id"]

    async def _document(self, client: httpx.AsyncClient, number: int) -> dict[str, Any]:
        while True:
            async with self._readers:
                document = await self._persist(
                    lambda: client.get(f"{self._server.url}/executions/{self._accepted[number]}?include=output")
                )
            if document["status"] in ("completed", "failed", "cancelled"):
                return document
            await asyncio.sleep(0.5)

    async def _persist(self, request: Callable[[], Any]) -> dict[str, Any]:
        while True:
            try:
                response = await request()
                response.raise_for_status()
                document: dict[str, Any] = response.json()
                return document
            except httpx.TransportError:
                await asyncio.sleep(0.1)  # it has ended; the next one is on its way
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise
                await asyncio.sleep(0.1)  # it is ending


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=1)
    given = parser.parse_args()
    if not 1 <= given.executions <= EXECUTIONS_MAX:
        parser.error(f"--executions must be 1 to {EXECUTIONS_MAX}")
    with tempfile.TemporaryDirectory() as directory:
        load = Load(Path(directory), given.executions, given.kills)
        try:
            result = asyncio.run(load.run())
        except httpx.HTTPStatusError as error:
            print(f"{error}\n{error.response.text}\nits log ends:\n{load.last_of_log()}", file=sys.stderr)
            return 1
        finally:
            load.close()
    print(json.dumps(result, indent=1))
    return 0 if result["right_outputs"] == result["different_ids"] == given.executions else 1


if __name__ == "__main__":
    sys.exit(main())
