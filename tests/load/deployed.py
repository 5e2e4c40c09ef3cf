"""Latencies of the deployed stack under an open load: `embedded.py`'s, on the emulator of AWS that `tests/e2e` uses.

    python tests/load/deployed.py [--rates 0.5,1,2] [--seconds 30]

Synthesizes and deploys the stack first, as `tests/e2e` does. Functions are processes of this machine here, and the
emulator polls queues as it likes: the figures show that the whole takes the load and loses nothing, not how fast AWS
is. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT)]

from tests.e2e.deployment import synthesize  # noqa: E402
from tests.e2e.emulator import SETUP  # noqa: E402
from tests.e2e.system import System, deployed  # noqa: E402
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

from workflow_runtime import WorkflowEngine  # noqa: E402

SEED = 1
END_SECONDS_MAX = 300  # of an execution, under more load than the emulator carries
LOOK_SECONDS = 0.3
FIRST = 5  # executions before anything is measured: every function has started then


async def load(system: System, rate: float, seconds: float) -> Latencies:
    """The latencies of what arrived at this rate (a Poisson process) for so long."""
    arrivals = random.Random(SEED)
    loop = asyncio.get_running_loop()
    found = none_yet()
    async with WorkflowEngine.remote(system.url, sign=True) as engine, asyncio.timeout(seconds + END_SECONDS_MAX):
        await engine.create_workflow(WORKFLOW)
        await asyncio.gather(*(one(engine, number) for number in range(FIRST)))
        begun, next_at = loop.time(), 0.0
        running = []
        while next_at < seconds:
            await asyncio.sleep(max(begun + next_at - loop.time(), 0))
            running.append(asyncio.create_task(one(engine, len(running))))
            next_at += arrivals.expovariate(rate)
        for document, sent_at in await asyncio.gather(*running):
            add(found, document, sent_at)
    return found


async def one(engine: WorkflowEngine, number: int) -> tuple[dict[str, Any], float]:
    """Run one: its document, and when its event was sent (epoch ms)."""
    id = await engine.execute_workflow("load", {"n": number})
    while "listening" not in (await engine.get_execution_status(id))["current_states"]:
        await asyncio.sleep(LOOK_SECONDS)
    sent_at = time.time() * 1000
    await engine.send_event(id, "go")
    return await engine.wait(id, END_SECONDS_MAX), sent_at


def add(found: Latencies, document: dict[str, Any], sent_at: float) -> None:
    assert document["status"] == "completed", document
    runs = sorted(document["node_executions"].values(), key=lambda run: (run["started_at"], run["ended_at"]))
    found[TO_FIRST_NODE].append(_ms(runs[0]["started_at"]) - _ms(document["started_at"]))
    found[TO_NEXT_NODE] += [_ms(later["started_at"]) - _ms(earlier["ended_at"]) for earlier, later in pairwise(runs)]
    (taken,) = (step for step in document["transitions"] if step["event"] == "go")
    found[TO_TRANSITION].append(_ms(taken["at"]) - int(sent_at))


def _ms(time: str) -> int:
    """A time of a document as epoch ms."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=rates, default="0.5,1,2", help="starts a second, with commas")
    parser.add_argument("--seconds", type=float, default=30, help="of arrivals at each rate")
    arguments = parser.parse_args()
    subprocess.run([SETUP], check=True)
    print("\n".join(head()))
    with tempfile.TemporaryDirectory() as folder, deployed(synthesize(Path(folder)), Path(folder)) as system:
        for rate in arguments.rates:
            print(row(rate, asyncio.run(load(system, rate, arguments.seconds))), flush=True)


if __name__ == "__main__":
    main()
