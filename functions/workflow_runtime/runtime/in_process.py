"""A whole runtime in this process: a backend, the services on it, and the pump that runs the handlers of `topology`.

There are two ways to drive the pump. Its owner steps it until one execution ends or rests (`run_until_ended`,
`settle`): tests, `awr run`. Or it runs in the background of an event loop until it is closed (`start`): the SDK and
`awr dev`. Then it shares the loop fairly, a batch of events being a task like any other, so that requests are answered
in between.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from workflow_runtime.backends.embedded.pump import Handler, Pump
from workflow_runtime.backends.folder_files import FolderFiles
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY
from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.invokers.tools.reach import ALLOW_HTTP, SETTINGS, Reach, local_reach
from workflow_runtime.ports import BusMessage, Poller, Ports, QueueMessage, ScheduleRunner
from workflow_runtime.runtime.environment import collector, workflow_env
from workflow_runtime.runtime.foundation import new_id
from workflow_runtime.runtime.making import handler_for_first_event
from workflow_runtime.runtime.observation import GatedPoller, GatedScheduler, ObservedTable, Observer, Silence
from workflow_runtime.runtime.registries import Registries
from workflow_runtime.runtime.services import EnvironmentSecrets, Runtime
from workflow_runtime.runtime.workflow_files import WorkflowFiles, workflow_files
from workflow_runtime.storage.keys import HEADER

if TYPE_CHECKING:
    from workflow_runtime.invokers.cassettes.player import Player
    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.invokers.mocks import Mocks
    from workflow_runtime.invokers.tools.invoker import BlockingRunner
    from workflow_runtime.plan.specs import NodeType
    from workflow_runtime.services.catalog.published_agents import PublishedAgents
    from workflow_runtime.services.express import ExpressOrder

BUCKETS_VARIABLE = "BUCKETS_DIR"  # the environment variable that names the folder that stands for S3
BUCKETS_FOLDER = "buckets"  # by default, below the definitions

logger = logging.getLogger(__name__)


class Backend(Protocol):
    """An open backend: ports, the receiving side of its queues, and a hook that is told of sent messages."""

    ports: Ports
    poller: Poller
    scheduler: ScheduleRunner

    @property
    def on_send(self) -> Callable[[str], None]: ...

    @on_send.setter
    def on_send(self, hook: Callable[[str], None], /) -> None: ...

    def bus_events(self) -> list[dict[str, Any]]: ...

    def items_of(self, table: str) -> list[dict[str, Any]]: ...

    def messages_to(self, queue: str) -> list[QueueMessage]: ...

    def events_on(self, bus: str) -> list[BusMessage]: ...

    def close(self) -> None: ...


class LocalRuntime:
    """A runtime on ``backend`` (which it closes), with agents and tools from ``definitions`` and perhaps ``mocks``.

    ``environ``: where settings and secrets are (None: the process's). ``reach`` None: what the settings in ``environ``
    allow. ``wrap`` is put around what runs agents, and around what runs tools. ``observer`` is told of every change of
    an execution or node run. ``files``: where workflows are that are not published yet (None: below ``definitions``).
    ``new_id``: gives a fresh identity per call, of 32 hexadecimal digits. ``player``: has a cassette answer first.
    ``processes``: where authors' blocking tools run; None: in threads.
    Raises `DefinitionError` for agents and tools that cannot be read, `RequestError` for
    settings that cannot.
    """

    def __init__(
        self,
        backend: Backend,
        definitions: Path | None = None,
        mocks: Mocks | None = None,
        *,
        reach: Reach | None = None,
        environ: Mapping[str, str] | None = None,
        wrap: Callable[[Invoker], Invoker] | None = None,
        observer: Observer | None = None,
        files: Callable[[], Iterable[Path]] | None = None,
        new_id: Callable[[], str] = new_id,
        player: Player | None = None,
        processes: BlockingRunner | None = None,
    ) -> None:
        self._player = player
        self._processes = processes
        self.backend = backend
        self._definitions = definitions
        self._environ = os.environ if environ is None else environ
        self._reach = reach if reach is not None else local_reach(self._environ)
        _check(self._reach)
        self._wrap = wrap
        self._new_id = new_id
        self.workflow_files = WorkflowFiles(files if files is not None else lambda: workflow_files(definitions))
        self._observer = observer or Silence()
        self._invokers: dict[NodeType, Invoker] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._is_ending = False
        self._stopped = False
        self._gate = GatedPoller(backend.poller)
        self._scheduler = GatedScheduler(backend.scheduler, self._gate)
        self.ports = replace(
            backend.ports,
            table=ObservedTable(backend.ports.table, self._written),
            files=FolderFiles(_buckets_folder(definitions, self._environ)),
            traces=collector(self._environ),
        )
        registries = self.read(mocks)
        self.services = self._assembled(registries)
        self._declare(registries)
        handlers = {
            function.name: self._sharing(handler_for_first_event(function, self.services))
            for function in WHOLE_TOPOLOGY.functions
            if function.sources
        }
        self.pump = Pump(self._gate, self.ports.clock, WHOLE_TOPOLOGY, handlers, self._scheduler)
        backend.on_send = self.pump.notice

    def read(self, mocks: Mocks | None) -> Registries:
        """Agents and tools as they are now, for `take`. May be called in any thread: authors' modules are imported, and
        may take their time. Raises `DefinitionError`.
        """
        registries = Registries(
            self._definitions,
            mocks,
            reach=self._reach,
            workflows=self.workflow_files,
            is_local=True,
            player=self._player,
            processes=self._processes,
            publications=_Publications(lambda: self.services.published_agents),
        )
        _ = registries.catalogue  # which finds all that is wrong
        return registries

    def take(self, registries: Registries) -> None:
        """Run these agents and tools from now on."""
        if self._processes is not None:
            self._processes.renew()
        self.services = self._assembled(registries)
        self._declare(registries)

    def _declare(self, registries: Registries) -> None:
        """Have the limiters of the definitions in force."""
        if self._definitions is not None:
            self.services.limits.declare(registries.limiters)

    def _assembled(self, registries: Registries) -> Runtime:
        for kind, invoker in registries.invokers(self.ports.clock).items():
            self._invokers[kind] = invoker if self._wrap is None else self._wrap(invoker)
        return Runtime(
            self.ports,
            lambda: self._invokers,  # the one mapping that runners look into
            secrets=EnvironmentSecrets(self._environ),
            env=workflow_env(self._environ),
            catalogue=registries.catalogue,
            stands_in=registries.stands_in,
            new_id=self._new_id,
            is_ending=lambda: self._is_ending,
            count=self._observer.counted,
            attempt_ended=self._observer.attempt_ended,
            run_express=self._run_express,
        )

    async def _run_express(self, order: ExpressOrder) -> None:
        from workflow_runtime.runtime.express import ExpressRunner  # few workflows are express

        await ExpressRunner(self.services).run(order)

    def _sharing(self, handler: Handler) -> Handler:
        """The handler as the pump calls it: in the background, as a task of its own."""
        return lambda event, context: (
            handler(event, context) if self._task is None else _as_task(handler, event, context)
        )

    async def run_until_ended(self, execution_id: str, enough: Callable[[], bool] = lambda: False) -> str:
        """Run everything there is to run until this execution has ended, or it is ``enough``; its status, which is open
        if it waits for the outside.
        """
        await self.pump.run(lambda: self._has_ended(execution_id) or enough())
        return self.services.documents.status(execution_id)

    async def settle(
        self,
        execution_id: str,
        moments: Sequence[tuple[int, Callable[[], None]]] = (),
        enough: Callable[[], bool] = lambda: False,
    ) -> str:
        """Run what can run without outside input and without waiting for timers, after the ``moments`` (see
        `Pump.run`), or until it is ``enough``; the execution's status.
        """
        await self.pump.run(lambda: self._has_ended(execution_id) or enough(), settle=True, moments=moments)
        return self.services.documents.status(execution_id)

    def _has_ended(self, execution_id: str) -> bool:
        return self.services.documents.status(execution_id).terminal

    def start(self) -> None:
        """Begin to run in the background of the running event loop; what an earlier process left open goes on."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.backend.on_send = self._sent
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def wait_ended(self, execution_id: str, seconds: float | None = None) -> None:
        """In the background: return when the execution has ended. Raises `TimeoutError`, `RequestError`
        (``not_found``), `RetryableError` when the runtime stopped.
        """
        if self._has_ended(execution_id):
            return
        if self._task is None or self._task.done():
            raise RetryableError("the runtime has stopped")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(execution_id, set()).add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        finally:
            waiting = self._waiting.get(execution_id, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(execution_id, None)

    def end_waiting(self) -> None:
        """Have requests that wait for something answered now, with what there is: the process is about to end."""
        self._is_ending = True

    async def until_failure(self) -> None:
        """In the background: return when the runtime was closed; raises what stopped it before (a full disk, say)."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self, drain_seconds: float = 0.0) -> int:
        """End the background task and close the backend. Attempts under way get ``drain_seconds`` to end; what is still
        open goes on in the next process: the number of attempts that were left.
        """
        left = 0
        if self._task is not None:
            self._gate.closed = True
            self._stir()
            await asyncio.wait({self._task}, timeout=drain_seconds)
            left = self.pump.in_progress
            self._stopped = True
            self._stir()
            await asyncio.wait({self._task})
            self._task = None
        self.close()
        return left

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()

    def __enter__(self) -> LocalRuntime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _run(self) -> None:
        while True:
            self._stirred.clear()
            if await self.pump.run(lambda: self._stopped) or self._gate.closed:
                return
            await self._until_stirred()

    async def _until_stirred(self) -> None:
        """Nothing happens by itself any more: wait for messages, or for the next schedule that repeats."""
        next_at = self._scheduler.next_at()
        seconds = None if next_at is None else max((next_at - self.ports.clock.now()) / 1000, 0)
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The pump stopped: release everything that waits."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("the runtime stopped", exc_info=error)
        for waiting in self._waiting.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(RetryableError("the runtime has stopped"))

    def _written(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        self._observer.wrote(execution_id, sort, attributes)
        if execution_id in self._waiting and sort == HEADER and "ended_at" in attributes:
            self._in_loop(self._wake, execution_id)

    def _wake(self, execution_id: str) -> None:
        for future in self._waiting.get(execution_id, ()):
            if not future.done():
                future.set_result(None)

    def _sent(self, queue: str) -> None:
        self._in_loop(self._notice, queue)

    def _notice(self, queue: str) -> None:
        self.pump.notice(queue)
        self._stirred.set()

    def _stir(self) -> None:
        self._notice(WHOLE_TOPOLOGY.queues[0].name)

    def _in_loop(self, function: Callable[..., None], *arguments: str) -> None:
        """Call in the loop's thread: ports may be called in others. Before the start there is nobody to tell."""
        if threading.get_ident() == self._thread:
            function(*arguments)
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(function, *arguments)


class _Publications:
    """Agents that were published, of the services as they are now: agents and tools are read before there are any."""

    def __init__(self, published: Callable[[], PublishedAgents]) -> None:
        self._published = published

    @property
    def ids(self) -> Collection[str]:
        return self._published().ids

    def latest(self, id: str) -> int | None:
        return self._published().latest(id)

    def source(self, id: str, version: int) -> bytes:
        return self._published().source(id, version)


async def _as_task(handler: Handler, event: dict[str, Any], context: Any) -> Any:
    """What a handler answers. If it raises, its messages are delivered again, as on Lambda; the runtime goes on."""
    try:
        answer = handler(event, context)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception:
        logger.exception("a handler failed; its messages are delivered again")
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}


def _buckets_folder(definitions: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The folder that stands for S3: in it, a folder for each bucket."""
    given = environ.get(BUCKETS_VARIABLE)
    if given:
        return Path(given)
    return definitions / BUCKETS_FOLDER if definitions is not None else None


def _check(reach: Reach) -> None:
    """Raises `RequestError` (``settings_invalid``) for hosts that are none, before anything runs."""
    from workflow_runtime.invokers.tools.builtin.http_guard import AllowList  # with it come all built-in tools

    try:
        AllowList(reach.http or ())
    except ValueError as error:
        name = SETTINGS["http"] + (f" or {ALLOW_HTTP}" if reach.http_advice else "")
        raise RequestError("settings_invalid", f"{name}: {error}") from None
