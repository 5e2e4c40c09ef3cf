"""Opens the socket, runs HTTP server and runtime in one event loop, and ends them in order.

The order at the end: no new requests, those under way are answered, attempts under way get a moment to end, the file is
closed. Whatever is left is in the database and continues in the next process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.server.gateway import App, problem
from workflow_runtime.frontends.server.log import logger
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import Backend, LocalRuntime
from workflow_runtime.storage.listing import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    import uvicorn

    from workflow_runtime.invokers.tools.invoker import BlockingRunner
    from workflow_runtime.invokers.tools.reach import Reach
    from workflow_runtime.runtime.observation import Observer
    from workflow_runtime.storage.records import Header

LOOPBACK_HOST = "127.0.0.1"
CONNECTIONS_WAITING_MAX = 2048  # the system's own limit may be lower
KEEP_ALIVE_SECONDS = 65  # longer than clients and proxies keep theirs, so that they close first
REQUESTS_END_SECONDS = 3  # at the end, for requests under way; those that only wait are answered within a second
INTERRUPTED_SECONDS = 1.0  # for attempts under way after Ctrl-C: somebody waits for the prompt
INTERRUPTED_EXIT_CODE = 130
PAGE_ITEMS = 1000
NOT_HTTP = problem(
    400,
    "invalid_request",
    "The request is not HTTP",
    "the request line or a header is not as HTTP/1.1 has it; in a URL, percent-encode other characters than ASCII",
    close=True,
)
OPEN_STATUSES = tuple(status for status in ExecutionStatus if not status.terminal)


class Listening(msgspec.Struct, frozen=True):
    """How a server runs.

    ``drain_seconds``: at the end, how long attempts under way may go on; 0 when nothing would record them.
    ``goes_on``: what continues with attempts that were left, said at the end.
    ``proxies``: addresses whose ``X-Forwarded-For`` and ``-Proto`` are believed, with commas; "*": all; "": none.
    """

    drain_seconds: float
    goes_on: str
    proxies: str = ""


class Server:
    """Runs ``app`` and ``runtime`` until SIGINT or SIGTERM. ``received``: the signals so far."""

    def __init__(self, runtime: LocalRuntime, app: App, listener: socket.socket, how: Listening) -> None:
        self._runtime = runtime
        self._how = how
        self._listener = listener
        self._server = _uvicorn_server(app, how.proxies)
        self.received: list[signal.Signals] = []

    @property
    def is_ending(self) -> bool:
        """Whether the server takes no new requests any more."""
        return bool(self._server.should_exit)

    async def run(self, beside: Sequence[Coroutine[Any, Any, None]] = ()) -> None:
        """Until a signal; ``beside`` runs meanwhile, and ends the server when it fails. Raises what stopped the
        runtime if it could not go on.
        """
        with self._signals():
            serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
            others = [asyncio.create_task(each) for each in beside]
            failing = asyncio.create_task(self._runtime.until_failure())
            await asyncio.wait({serving, failing, *others}, return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                other.cancel()
            self._server.should_exit = True
            self._runtime.end_waiting()
            await serving
            if failing.done():
                failing.result()
            failing.cancel()
            for other in others:
                with suppress(asyncio.CancelledError):
                    await other

    async def close(self) -> None:
        """Let attempts under way end, and close the runtime."""
        interrupted = signal.SIGINT in self.received
        drain = self._how.drain_seconds
        left = await self._runtime.stop(min(drain, INTERRUPTED_SECONDS) if interrupted else drain)
        logger.info("stopped%s", self._what_was_left(left))

    def _what_was_left(self, attempts: int) -> str:
        if not attempts:
            return ""
        what = "1 attempt was" if attempts == 1 else f"{attempts} attempts were"
        return f" while {what} under way; {self._how.goes_on}"

    @contextmanager
    def _signals(self) -> Generator[None, None, None]:
        """SIGINT and SIGTERM end the server in order; a second one ends the process as if there were no handler."""
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            logger.info("stopping (%s); repeat to stop at once", number.name)
            self.received.append(number)
            self._server.should_exit = True
            self._runtime.end_waiting()
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

        numbers = (signal.SIGINT, signal.SIGTERM)
        try:
            for number in numbers:
                loop.add_signal_handler(number, stop, number)
        except (NotImplementedError, RuntimeError):  # Windows, or not in the main thread: Python's own way has to do
            yield
            return
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def opened(
    backend: Backend,
    definitions: Path | None,
    mocks: Path | None,
    reach: Reach,
    observer: Observer,
    processes: BlockingRunner | None = None,
) -> LocalRuntime:
    """A runtime on ``backend``, which is closed if there cannot be one; ``processes`` as there. Raises `RequestError`
    (no such directory), `DefinitionError` for agents, tools or mocks that cannot be read.
    """
    try:
        if definitions is not None and not definitions.is_dir():
            raise RequestError("not_found", f"there is no directory {definitions}")
        answers = Mocks.load(mocks) if mocks is not None else None
        return LocalRuntime(backend, definitions, answers, reach=reach, observer=observer, processes=processes)
    except BaseException:
        backend.close()
        raise


def need_uvicorn(program: str) -> None:
    """Raises `RequestError` ``missing_dependency``."""
    if find_spec("uvicorn") is None:
        message = f'{program} needs uvicorn: pip install "agent-workflow-runtime[dev-server]"'
        raise RequestError("missing_dependency", message)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address of this machine. Raises `RequestError` (``port_in_use``, ``port_refused``)."""
    listener = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio has answers wait for no acknowledgement (TCP_NODELAY) only where the protocol is named
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(CONNECTIONS_WAITING_MAX)  # a second process may bind, but not listen
    except (OSError, OverflowError) as error:
        if listener is not None:
            listener.close()
        if isinstance(error, OSError) and error.errno is not None and error.strerror and "in use" in error.strerror:
            message = f"port {port} is in use by another process; --port takes another one, 0 any free one"
            raise RequestError("port_in_use", message) from error
        raise RequestError("port_refused", f"port {port} of {host} cannot be used: {error}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where the socket listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def exit_code(stopped_by: signal.Signals | None) -> int:
    """Of the process, by what stopped the server."""
    return INTERRUPTED_EXIT_CODE if stopped_by is signal.SIGINT else 0


def poke_open_executions(runtime: LocalRuntime, seen: Callable[[Header], None] = lambda _header: None) -> None:
    """Have every open execution looked at: what an earlier process accepted and had not ordered yet is found so.
    ``seen`` is told of each.
    """
    services = runtime.services
    poked = 0
    position: str | None = None
    while pointers := services.stores.workflows.list(PAGE_ITEMS, position):
        for pointer in pointers:
            wanted: Wanted | None = Wanted(OPEN_STATUSES, pointer.workflow_id)
            while wanted is not None:
                page = services.documents.list(wanted, PAGE_ITEMS)
                for header in page.headers:
                    seen(header)
                    services.mailer.poke(header.execution_id)
                poked += len(page.headers)
                wanted = replace(wanted, before=page.next) if page.next is not None else None
        position = pointers[-1].position
    if poked:
        logger.info("%d open executions go on", poked)


def _uvicorn_server(app: App, proxies: str) -> uvicorn.Server:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class QuietServer(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield  # signals are ours: see `Server`

    class Protocol(H11Protocol):
        def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature and words
            headers = [*NOT_HTTP.headers, (b"content-length", str(len(NOT_HTTP.body)).encode())]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(NOT_HTTP.body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
            self.transport.close()

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        backlog=CONNECTIONS_WAITING_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=REQUESTS_END_SECONDS,
    )
    return QuietServer(config)
