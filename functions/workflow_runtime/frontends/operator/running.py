"""`awr operator`: wait for the lease, then watch and reconcile until the lease is lost or a signal comes."""

from __future__ import annotations

import asyncio
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.operator.caring import World
from workflow_runtime.frontends.operator.cluster import Access, Cluster
from workflow_runtime.frontends.operator.election import Election
from workflow_runtime.frontends.operator.reconciling import Reconciler
from workflow_runtime.frontends.operator.runtime_api import RuntimeApi
from workflow_runtime.frontends.operator.store import Store
from workflow_runtime.frontends.operator.watching import Watches
from workflow_runtime.frontends.operator.work_queue import WorkQueue
from workflow_runtime.frontends.serve.own_paths import LIVE_PATH

LEASE = "awr-operator"
WORKERS = 8  # objects that are looked at side by side: the runtime's API is asked by no more at once
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where a pod finds what it is allowed


class OperatorOptions(msgspec.Struct, frozen=True):
    """What `awr operator` is told.

    ``access``: the Kubernetes API and the namespace.
    ``resync_seconds``: between looks at objects that nobody has changed: what was changed in the runtime is corrected
        that late.
    ``health_port``: where /health/live answers; 0: nowhere.
    ``identity``: of this replica, unlike all others'.
    """

    access: Access
    resync_seconds: float
    health_port: int = 0
    identity: str = msgspec.field(default_factory=lambda: f"{socket.gethostname()}_{uuid.uuid4()}")


def access_of_pod(host: str | None, port: str, namespace: str | None, account: Path = ACCOUNT) -> Access:
    """How a pod reaches the API: Kubernetes tells it by variables and files. Raises `RequestError`."""
    if host is None or not account.is_dir():
        raise RequestError("no_cluster", "this is not a pod with a service account; --kubernetes-url names an API")
    name = f"[{host}]" if ":" in host else host
    own = namespace or (account / "namespace").read_text("utf-8").strip()
    return Access(f"https://{name}:{port}", own, account / "token", account / "ca.crt")


def run_operator(options: OperatorOptions, api: RuntimeApi) -> bool:
    """`operate` until SIGINT or SIGTERM."""

    async def until_told() -> bool:
        ending = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        return await operate(options, api, ending)

    return asyncio.run(until_told())


async def operate(options: OperatorOptions, api: RuntimeApi, ending: asyncio.Event) -> bool:
    """Work as one of several replicas until ``ending``. False: the lease was lost, and the process is to be started
    anew. Raises what stopped it."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(options.access)
        stack.push_async_callback(cluster.close)
        await api.open()
        stack.push_async_callback(api.close)
        if options.health_port:
            await stack.enter_async_context(_health(options.health_port))
        election = Election(cluster, LEASE, options.identity)
        stack.push_async_callback(election.resign)
        if await _first_of(ending.wait(), election.won()) == 0:
            return True
        return await _lead(options, cluster, api, election, ending)


async def _lead(
    options: OperatorOptions, cluster: Cluster, api: RuntimeApi, election: Election, ending: asyncio.Event
) -> bool:
    store = Store()
    world = World(cluster, api, store, lambda key: queue.mark(key), _now, options.resync_seconds)
    queue = WorkQueue(Reconciler(world, lambda: election.is_leading).look, WORKERS)
    watches = Watches(options.access, store, queue.mark)

    async def work() -> None:
        await watches.complete.wait()
        await queue.run()

    return await _first_of(ending.wait(), election.lost(), watches.run(), work()) == 0


@asynccontextmanager
async def _health(port: int) -> AsyncIterator[None]:
    """Inside, /health/live answers as long as the event loop turns, whether this replica leads or not."""
    app = web.Application()
    app.router.add_get(LIVE_PATH, _live)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


async def _live(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _first_of(*works: Coroutine[Any, Any, Any]) -> int:
    """Which of them is the first to end; the others are cancelled. Raises what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return min(tasks.index(task) for task in done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
