"""Opens the runtime and the HTTP server, runs both in one event loop, and closes them in order.

The order at the end: no new requests, those under way are answered, attempts under way get a moment to end, the file is
closed. Whatever is left is in the database and goes on in the next process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import DefinitionError, RequestError, WorkflowRuntimeError
from workflow_runtime.frontends.dev.doors import BusDoor, LogDoor
from workflow_runtime.frontends.dev.gateway import Gateway
from workflow_runtime.frontends.dev.log import ExecutionLog, RecentLines, log_findings, log_request, log_to, logger
from workflow_runtime.frontends.dev.options import HELP, PORT_DEFAULT, DevOptions, definitions_default
from workflow_runtime.frontends.dev.reload import Reloader
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.reach import ALLOW_HTTP, local_reach
from workflow_runtime.language.texts import visible_lines
from workflow_runtime.runtime.in_process import LocalRuntime, handler_of
from workflow_runtime.services.views.executions import position as position_of

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
CONNECTIONS_WAITING_MAX = 2048  # the system's own limit may be lower
KEEP_ALIVE_SECONDS = 65  # longer than clients and proxies keep theirs, so that they close first
REQUESTS_END_SECONDS = 3  # at the end, for requests under way; those that only wait are answered within a second
DRAIN_SECONDS = 10.0  # at the end, for attempts under way when there is a file to record them in
INTERRUPTED_SECONDS = 1.0  # the same after Ctrl-C: somebody waits for the prompt
INTERRUPTED_EXIT_CODE = 130
PAGE_ITEMS = 1000
OPEN_STATUSES = tuple(status for status in ExecutionStatus if not status.terminal)


def serve(options: DevOptions) -> signal.Signals | None:
    """Run until SIGINT or SIGTERM; which it was, as far as that can be told. Raises `RequestError` (port taken,
    database in use), `DefinitionError` for agents, tools or mocks that cannot be read, and what stopped the runtime if
    it could not go on.
    """
    with log_to_stderr() as recent:
        listener = _listen(options.port)
        with listener:
            runtime = _opened(options)  # before there is a loop: Ctrl-C ends the import of an author's module, too
            return asyncio.run(_serve(options, runtime, listener, recent))


def _opened(options: DevOptions) -> LocalRuntime:
    if options.definitions is not None and not options.definitions.is_dir():
        raise RequestError("not_found", f"there is no directory {options.definitions}")
    mocks = Mocks.load(options.mocks) if options.mocks is not None else None
    backend = open_backend(options.db)
    try:
        reach = local_reach(os.environ, options.allow_http)
        return LocalRuntime(backend, options.definitions, mocks, reach=reach, observer=ExecutionLog())
    except BaseException:
        backend.close()
        raise


async def _serve(
    options: DevOptions, runtime: LocalRuntime, listener: socket.socket, recent: RecentLines
) -> signal.Signals | None:
    received: list[signal.Signals] = []
    try:
        await _run(options, runtime, listener, recent, received)
    finally:
        interrupted = signal.SIGINT in received
        drain_seconds = 0.0 if options.db is None else INTERRUPTED_SECONDS if interrupted else DRAIN_SECONDS
        left = await runtime.stop(drain_seconds)
        logger.info("stopped%s", _what_was_left(left, options.db))
    return received[0] if received else None


def _what_was_left(attempts: int, db: Path | None) -> str:
    if not attempts:
        return ""
    after = f"with --db {db} their executions go on" if db is not None else "nothing is kept without --db"
    return f" while {attempts} {'attempt was' if attempts == 1 else 'attempts were'} under way: {after}"


async def _run(
    options: DevOptions,
    runtime: LocalRuntime,
    listener: socket.socket,
    recent: RecentLines,
    received: list[signal.Signals],
) -> None:
    function = TOPOLOGY.function("api")
    handlers: list[Any] = []

    def renew_handler() -> None:
        handlers[:] = [handler_of(function, runtime.services)]

    reloader = Reloader(runtime, options.definitions, options.mocks, renew_handler)
    reloader.publish_all()
    _poke_open_executions(runtime)
    renew_handler()
    runtime.start()
    doors = LogDoor(recent, BusDoor(runtime.ports.bus, lambda: handlers[0]))
    server = _server(Gateway(lambda: doors, LocalContext(function), log_request))
    _announce(options, listener)
    with _signals(server, runtime, received):
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(reloader.watch())
        failing = asyncio.create_task(runtime.until_failure())
        await asyncio.wait({serving, watching, failing}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        server.should_exit = True
        runtime.end_waiting()
        await serving
        if failing.done():
            failing.result()
        failing.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _server(app: Gateway) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError:
        message = 'awr dev needs uvicorn: pip install "agent-workflow-runtime[dev-server]"'
        raise RequestError("missing_dependency", message) from None

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield  # signals are ours: see `_signals`

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=CONNECTIONS_WAITING_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=REQUESTS_END_SECONDS,
    )
    return Server(config)


def exit_code(stopped_by: signal.Signals | None) -> int:
    """Of the process, by what stopped the server."""
    return INTERRUPTED_EXIT_CODE if stopped_by is signal.SIGINT else 0


def _listen(port: int) -> socket.socket:
    """A socket bound to loopback. Raises `RequestError` (``port_in_use``, ``port_refused``)."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(CONNECTIONS_WAITING_MAX)  # a second process may bind, but not listen
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno is not None and error.strerror and "in use" in error.strerror:
            message = f"port {port} is in use by another process; --port takes another one, 0 any free one"
            raise RequestError("port_in_use", message) from error
        raise RequestError("port_refused", f"port {port} cannot be used: {error}") from error
    return listener


@contextmanager
def _signals(
    server: uvicorn.Server, runtime: LocalRuntime, received: list[signal.Signals]
) -> Generator[None, None, None]:
    """SIGINT and SIGTERM end the server in order; a second one ends the process as if there were no handler."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        logger.info("stopping (%s); once more to stop at once", number.name)
        received.append(number)
        server.should_exit = True
        runtime.end_waiting()
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


def _poke_open_executions(runtime: LocalRuntime) -> None:
    """Have every open execution looked at: what an earlier process accepted and had not ordered yet is found so."""
    services = runtime.services
    poked = 0
    position: str | None = None
    while pointers := services.stores.workflows.list(PAGE_ITEMS, position):
        for pointer in pointers:
            before: str | None = None
            while headers := services.documents.list(pointer.workflow_id, OPEN_STATUSES, PAGE_ITEMS, before):
                for header in headers:
                    services.mailer.poke(header.execution_id)
                poked += len(headers)
                before = position_of(headers[-1])
        position = pointers[-1].position
    if poked:
        logger.info("%d open executions go on", poked)


def _announce(options: DevOptions, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    if options.definitions is None:
        logger.warning(
            "there is no directory `definitions` here: nothing is published; --definitions DIR names another"
        )
    if options.db is None:
        logger.warning("everything is kept in memory and ends with this process; --db FILE keeps it")
    else:
        logger.info("everything is kept in %s", options.db)
    logger.info("listening on http://%s:%d", HOST, port)


@contextmanager
def log_to_stderr() -> Generator[RecentLines, None, None]:
    """Gives the lines logged inside, too."""
    package = logging.getLogger("workflow_runtime")
    handlers = log_to(sys.stderr), RecentLines()
    package.addHandler(handlers[1])
    try:
        yield handlers[1]
    finally:
        for handler in handlers:
            package.removeHandler(handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m workflow_runtime.frontends.dev``: the same as `awr dev`. The exit code; with 1, stderr says why."""
    parser = argparse.ArgumentParser("awr dev", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help=f"default {PORT_DEFAULT}; 0: any free one")
    parser.add_argument("--db", type=Path, metavar="FILE", help="keep everything in this file")
    parser.add_argument(
        "--definitions", type=Path, metavar="DIR", help="workflows, agents and tools; default: ./definitions"
    )
    parser.add_argument("--mocks", type=Path, metavar="FILE", help="answers for agents and tools")
    parser.add_argument(
        ALLOW_HTTP, action="append", default=[], metavar="HOST", help="let http_request reach this host, too"
    )
    given = parser.parse_args(arguments)
    try:
        definitions = given.definitions or definitions_default()
        return exit_code(serve(DevOptions(given.port, given.db, definitions, given.mocks, tuple(given.allow_http))))
    except DefinitionError as error:
        log_findings(error.findings)
        print(visible_lines(str(error)), file=sys.stderr)
        return 1
    except WorkflowRuntimeError as error:
        print(visible_lines(f"awr dev: {error}"), file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT_CODE
    return 1
