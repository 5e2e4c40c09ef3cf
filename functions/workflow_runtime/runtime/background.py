"""A runtime that runs in the background of an event loop: what `WorkflowEngine.local` and `awr dev` share.

Unlike `LocalRuntime`, which pumps until one execution ends, it pumps until it is closed, says when executions end, and
shares the loop fairly: a batch of events is a task like any other, so that requests are answered in between.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from workflow_runtime.backends.embedded.pump import Handler, Pump
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.runtime.aws import catalogue_of, node_invokers
from workflow_runtime.runtime.in_process import Backend, handler_of
from workflow_runtime.runtime.observation import (
    GatedPoller,
    GatedScheduler,
    ObservedTable,
    Observer,
    Silence,
)
from workflow_runtime.runtime.services import EnvironmentSecrets, Runtime, workflow_env

logger = logging.getLogger(__name__)


class BackgroundRuntime:
    """A runtime on ``backend`` (which it closes), with agents and tools from ``definitions`` and perhaps ``mocks``.

    `start` and `close` belong to one event loop. ``observer`` is told of every change of an execution or node run.
    Raises `DefinitionError` for agents and tools that cannot be read.
    """

    def __init__(
        self,
        backend: Backend,
        definitions: Path | None = None,
        mocks: Mocks | None = None,
        *,
        reach: Reach = LOCAL_REACH,
        environ: Mapping[str, str] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._backend = backend
        self._definitions = definitions
        self._reach = reach
        self._environ = os.environ if environ is None else environ
        self._observer = observer or Silence()
        self._invokers: dict[NodeType, Invoker] = {}  # of the latest definitions; runners look here at every attempt
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._stopped = False
        self._gate = GatedPoller(backend.poller)
        self._scheduler = GatedScheduler(backend.scheduler, self._gate)
        self.ports = _observed(backend.ports, self._written)
        self.services = self._assemble(mocks)
        handlers = {
            function.name: _as_task(handler_of(function, self.services))
            for function in TOPOLOGY.functions
            if function.sources
        }
        self._pump = Pump(self._gate, self.ports.clock, TOPOLOGY, handlers, self._scheduler)
        backend.on_send = self._sent

    def reload(self, mocks: Mocks | None) -> None:
        """Read agents and tools again, and take ``mocks`` from now on. Raises `DefinitionError`; then all stays as it
        was."""
        self.services = self._assemble(mocks)

    def _assemble(self, mocks: Mocks | None) -> Runtime:
        catalogue = catalogue_of(self._definitions, mocks)  # raises before anything is changed
        self._invokers.update(node_invokers(self._definitions, self._reach, self.ports, mocks))
        return Runtime(
            self.ports,
            lambda: self._invokers,
            secrets=EnvironmentSecrets(self._environ),
            env=workflow_env(self._environ),
            catalogue=catalogue,
        )

    def start(self) -> None:
        """Begin to run; what an earlier process left open goes on."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        while True:
            self._stirred.clear()
            if await self._pump.run(lambda: self._stopped) or self._gate.closed:
                return
            await self._until_stirred()

    async def _until_stirred(self) -> None:
        """Nothing happens by itself any more: wait for messages, or for the next schedule that repeats."""
        next_at = self._scheduler.next_at()
        seconds = None if next_at is None else max((next_at - self.ports.clock.now()) / 1000, 0)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), seconds)

    async def wait_ended(self, execution_id: str, seconds: float | None = None) -> None:
        """Return when the execution has ended. Raises `TimeoutError`, `RequestError` (``not_found``), `RetryableError`
        when the runtime stopped."""
        if self.services.documents.status(execution_id).terminal:
            return
        if self._task is None or self._task.done():
            raise RetryableError("the runtime has stopped")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(execution_id, set()).add(future)
        try:
            await asyncio.wait_for(future, seconds)
        finally:
            waiting = self._waiting.get(execution_id, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(execution_id, None)

    async def until_failure(self) -> None:
        """Return when the runtime was closed; raises what stopped it before (the database's disk is full, say)."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Stop; attempts under way get ``drain_seconds`` to end. What is still open goes on in the next process."""
        if self._task is not None:
            self._gate.closed = True
            self._stir()
            await asyncio.wait({self._task}, timeout=drain_seconds)
            self._stopped = True  # told, not cancelled: a cancellation can get lost in Python 3.11's `wait_for`
            self._stir()
            await asyncio.wait({self._task})
            self._task = None
        self._backend.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The pump stopped: nobody need wait any longer."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("the runtime stopped", exc_info=error)
        for waiting in self._waiting.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(RetryableError("the runtime has stopped"))

    def _written(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        self._observer.wrote(execution_id, sort, attributes)
        status = attributes.get("status")
        if execution_id in self._waiting and isinstance(status, str) and "ended_at" in attributes and sort == "HEADER":
            self._in_loop(self._wake, execution_id)

    def _wake(self, execution_id: str) -> None:
        for future in self._waiting.get(execution_id, ()):
            if not future.done():
                future.set_result(None)

    def _sent(self, queue: str) -> None:
        self._in_loop(self._notice, queue)

    def _notice(self, queue: str) -> None:
        self._pump.notice(queue)
        self._stirred.set()

    def _stir(self) -> None:
        self._notice(TOPOLOGY.queues[0].name)

    def _in_loop(self, function: Callable[..., None], *arguments: str) -> None:
        """Call in the loop's thread: ports may be called in others. Before the start there is nobody to tell."""
        if threading.get_ident() == self._thread:
            function(*arguments)
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(function, *arguments)


def _observed(ports: Ports, written: Callable[[str, str, Mapping[str, Any]], None]) -> Ports:
    return replace(ports, table=ObservedTable(ports.table, written))


def _as_task(handler: Handler) -> Handler:
    """The handler as a coroutine, which Lambda's poller outlives: when it raises, its messages come again later."""

    async def handle(event: dict[str, Any], context: Any) -> Any:
        try:
            answer = handler(event, context)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception:
            logger.exception("a handler failed; its messages are delivered again")
            return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}

    return handle
