"""Latencies under an open load: executions and events arrive when they arrive, however long the ones before take.

    python tests/load/embedded.py [--rates 20,50,100] [--seconds 20] [--file]

Each execution is a chain of three tools behind a state that waits for an event, which is sent as soon as it listens.
Measured from what the runtime recorded (epoch ms): from the start to the first node, from a node's end to the next
one's begin, from an event's arrival to the commit that took it. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT)]

from tests.load.latencies import (  # noqa: E402
    TO_FIRST_NODE,
    TO_NEXT_NODE,
    TO_TRANSITION,
    WORKFLOW,
    Latencies,
    head,
    none_yet,
    rates,
    row,
)

from workflow_runtime.backends.clock import RealClock  # noqa: E402
from workflow_runtime.backends.embedded.backend import open_backend  # noqa: E402
from workflow_runtime.engine.events import SignalReceived  # noqa: E402
from workflow_runtime.runtime.in_process import LocalRuntime  # noqa: E402

SEED = 1
DRAIN_SECONDS_MAX = 120  # after the last arrival


async def load(rate: float, seconds: float, file: Path | None) -> Latencies:
    """The latencies of what arrived at this rate (a Poisson process) for so long."""
    arrivals = random.Random(SEED)
    runtime = LocalRuntime(open_backend(file, RealClock()), environ={})
    services = runtime.services
    services.catalog.publish(WORKFLOW.encode())
    runtime.start()
    loop = asyncio.get_running_loop()
    ids: list[str] = []
    listening: asyncio.Queue[str] = asyncio.Queue()
    try:
        signalling = asyncio.create_task(_signal(runtime, listening))
        begun, next_at = loop.time(), 0.0
        while next_at < seconds:
            await asyncio.sleep(max(begun + next_at - loop.time(), 0))
            ids.append(services.starter.start("load", {"n": len(ids)}))
            listening.put_nowait(ids[-1])
            next_at += arrivals.expovariate(rate)
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            await signalling_done(listening, signalling)
            for id in ids:
                await runtime.wait_ended(id)
        return _measured(runtime, ids)
    finally:
        await runtime.stop()
        runtime.backend.close()


async def _signal(runtime: LocalRuntime, listening: asyncio.Queue[str]) -> None:
    """Send each execution its event once it listens."""
    while True:
        id = await listening.get()
        stored = runtime.services.stores.executions.load(id)
        if stored is not None and "listening" in runtime.services.documents.document(id)["current_states"]:
            runtime.services.signalling.send(id, "go")
        else:
            listening.put_nowait(id)
            await asyncio.sleep(0.002)
        listening.task_done()
        await asyncio.sleep(0)


async def signalling_done(listening: asyncio.Queue[str], task: asyncio.Task[None]) -> None:
    await listening.join()
    task.cancel()


def _measured(runtime: LocalRuntime, ids: list[str]) -> Latencies:
    found = none_yet()
    stores = runtime.services.stores
    for id in ids:
        header = stores.executions.header(id)
        assert header is not None
        assert header.status == "completed", f"{id} is {header.status}"
        runs = sorted(
            (run for run in stores.runs.list(id) if run.started_at), key=lambda run: (run.started_at, run.ended_at)
        )
        found[TO_FIRST_NODE].append(runs[0].started_at - header.started_at)
        ends = pairwise(runs)
        found[TO_NEXT_NODE] += [later.started_at - earlier.ended_at for earlier, later in ends]
        for entry in stores.executions.journal(id):
            events = [event for event in entry.events if isinstance(event, SignalReceived)]
            found[TO_TRANSITION] += [entry.now - event.at for event in events]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=rates, default="20,50,100", help="starts a second, with commas")
    parser.add_argument("--seconds", type=float, default=20, help="of arrivals at each rate")
    parser.add_argument("--file", action="store_true", help="in a file, not in memory")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print("\n".join(head()))
    for rate in arguments.rates:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "load.db" if arguments.file else None
            found = asyncio.run(load(rate, arguments.seconds, file))
        print(row(rate, found), flush=True)


if __name__ == "__main__":
    main()
