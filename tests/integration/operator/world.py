"""An operator between a stand-in of the Kubernetes API and the real API of a runtime in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import msgspec
from tests.custom_resources import check
from tests.integration.operator.kubernetes_api import NAMESPACE, KubernetesApi

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.operator.cluster import Access
from workflow_runtime.frontends.operator.running import OperatorOptions, operate
from workflow_runtime.frontends.operator.runtime_api import RuntimeApi
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.handlers.api import create
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import LocalRuntime

RESYNC_SECONDS = 0.5
PATIENCE_SECONDS = 150.0  # on a machine that does much else


class World:
    """``kubernetes``: the stand-in, at ``url``. ``runtime``: the runtime whose API the operator talks to."""

    def __init__(self, kubernetes: KubernetesApi, url: str, runtime: LocalRuntime, resync_seconds: float) -> None:
        self.kubernetes = kubernetes
        self.runtime = runtime
        self._resync_seconds = resync_seconds
        self._url = url
        function = TOPOLOGY.function("api")
        handler = create(runtime.services, function)
        self._gateway = Gateway(lambda: handler, LocalContext(function), lambda *_: None)
        self.losing: Callable[[httpx.Request], bool] = lambda _request: False

    def api(self) -> RuntimeApi:
        transport = _Losing(httpx.ASGITransport(app=self._gateway), lambda request: self.losing(request))
        return RuntimeApi("http://localhost", transport=transport, sleep=lambda _seconds: asyncio.sleep(0))

    @asynccontextmanager
    async def operator(self, identity: str = "one") -> AsyncIterator[asyncio.Task[bool]]:
        """Inside, a replica runs; at the end it is cut off, as a process that is killed."""
        options = OperatorOptions(Access(self._url, NAMESPACE), self._resync_seconds, identity=identity)
        task = asyncio.create_task(operate(options, self.api(), asyncio.Event()))
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, holds: Callable[[], bool]) -> None:
        """Raises `AssertionError` with all objects if it never holds."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not holds():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"in vain: {self.kubernetes.everything()}") from None

    def versions(self, workflow_id: str) -> list[bytes]:
        """The definitions of a workflow's versions, the oldest first."""
        workflows = self.runtime.services.stores.workflows
        latest = workflows.latest(workflow_id)
        found = workflows.versions(workflow_id, range(1, latest.number + 1)) if latest is not None else {}
        return [workflows.source(found[number]) for number in sorted(found)]

    def latest(self, workflow_id: str) -> dict[str, Any] | None:
        """The definition of the latest version."""
        if self.runtime.services.stores.workflows.latest(workflow_id) is None:
            return None
        document: dict[str, Any] = msgspec.json.decode(self.versions(workflow_id)[-1])["workflow"]
        return document


class _Losing(httpx.AsyncBaseTransport):
    """Loses the answers that ``loses`` says. What was asked is done, also when whoever asked is killed meanwhile."""

    def __init__(self, inner: httpx.AsyncBaseTransport, loses: Callable[[httpx.Request], bool]) -> None:
        self._inner = inner
        self._loses = loses

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await asyncio.shield(asyncio.ensure_future(self._inner.handle_async_request(request)))
        if self._loses(request):
            raise httpx.ReadError("the connection was lost", request=request)
        return response


@asynccontextmanager
async def world(resync_seconds: float = RESYNC_SECONDS) -> AsyncIterator[World]:
    mocks = Mocks.load({"agents": {"sleeper": {"delay": 3600}}})
    runtime = LocalRuntime(open_backend(), mocks=mocks, environ={})
    kubernetes = KubernetesApi(check)
    runtime.start()
    try:
        async with kubernetes.served() as url:
            yield World(kubernetes, url, runtime, resync_seconds)
    finally:
        await runtime.stop()
