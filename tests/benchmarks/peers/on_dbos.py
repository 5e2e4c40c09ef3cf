"""DBOS with its system database on SQLite.

A node is a step of one workflow; those that run at once are gathered by an async workflow. An event is a message that
the workflow receives; the effect of one is durable once a step has recorded what came of it. DBOS looks for messages on
SQLite at intervals: here every millisecond, the shortest that it takes (a second by default).
"""

from __future__ import annotations

import asyncio
import queue
from pathlib import Path

import sqlalchemy
from dbos import DBOS, DBOSConfig
from harness import PRAGMAS, Check, Sizes, above, arguments, serve

GIVEN = "hello"
SECONDS_MAX = 60

sizes = Sizes()
counts: queue.SimpleQueue[int] = queue.SimpleQueue()


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _as_ours(connection: object, _record: object) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


@DBOS.step()
def echo(x: str) -> str:
    return x


@DBOS.step()
async def echo_async(x: str) -> str:
    return x


@DBOS.step()
def add(count: int, by: int) -> int:
    return count + by


@DBOS.workflow()
def chain(x: str, length: int) -> str:
    for _ in range(length):
        x = echo(x)
    return x


@DBOS.workflow()
async def fan(x: str) -> list[str]:
    head = await echo_async(x)
    middle = await asyncio.gather(*(echo_async(head) for _ in range(sizes.fan)))
    await echo_async("join")
    return middle


@DBOS.workflow()
async def layered(x: str) -> list[str]:
    xs = [x] * sizes.width
    for layer in range(sizes.layers):
        read = [xs[above(layer, place, sizes.width)[0][1]] if layer else x for place in range(sizes.width)]
        xs = await asyncio.gather(*map(echo_async, read))
    return xs


@DBOS.workflow()
def counter() -> int:
    count = 0
    while count < sizes.events:
        count = add(count, DBOS.recv(timeout_seconds=SECONDS_MAX))
        counts.put(count)
    return count


def run_chain() -> Check:
    ended = chain(GIVEN, sizes.chain)
    return lambda: ended == GIVEN


def run_fan() -> Check:
    ended = asyncio.run(fan(GIVEN))
    return lambda: ended == [GIVEN] * sizes.fan


def run_layered() -> Check:
    ended = asyncio.run(layered(GIVEN))
    return lambda: ended == [GIVEN] * sizes.width


def run_many() -> Check:
    handles = [DBOS.start_workflow(chain, GIVEN, sizes.short) for _ in range(sizes.executions)]
    ended = [handle.get_result() for handle in handles]
    return lambda: ended == [GIVEN] * sizes.executions


def run_events() -> Check:
    handle = DBOS.start_workflow(counter)
    for _ in range(sizes.events):
        DBOS.send(handle.workflow_id, 1)
        counts.get(timeout=SECONDS_MAX)
    return lambda: handle.get_result() == sizes.events


def launch(folder: Path) -> None:
    config: DBOSConfig = {
        "name": "peers",
        "system_database_url": f"sqlite:///{folder / 'dbos.db'}",
        "notification_listener_polling_interval_sec": 0.001,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()


if __name__ == "__main__":
    folder, sizes = arguments()
    launch(folder)
    serve({"chain": run_chain, "fan": run_fan, "layered": run_layered, "many": run_many, "events": run_events})
    DBOS.destroy()
