"""`awr serve`: the runtime behind tokens, on a file, until it is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from typing import Any

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.copies import back_up
from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.frontends.api.application import Application
from workflow_runtime.frontends.api.route import Route, Scope
from workflow_runtime.frontends.serve.backups import BACKUP_PATH, Backups
from workflow_runtime.frontends.serve.gauges import Gauges
from workflow_runtime.frontends.serve.json_log import json_lines
from workflow_runtime.frontends.serve.metrics import Measurements
from workflow_runtime.frontends.serve.options import LogFormat, ServeOptions
from workflow_runtime.frontends.serve.own_paths import LIVE_PATH, METRICS_PATH, READY_PATH, OwnPaths
from workflow_runtime.frontends.serve.scopes import TokenDoor
from workflow_runtime.frontends.serve.tokens import TokenFile
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.frontends.server.log import ExecutionLog, log_findings, log_request, log_to, logger, text_lines
from workflow_runtime.frontends.server.reload import Reloader
from workflow_runtime.frontends.server.running import (
    Listening,
    Server,
    listen,
    need_uvicorn,
    opened,
    poke_open_executions,
    url_of,
)
from workflow_runtime.invokers.tools.processes import Processes
from workflow_runtime.invokers.tools.reach import local_reach
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.observation import Observers

PROGRAM = "awr serve"
TOKENS_LOOK_SECONDS = 2.0  # between looks at the tokens file: a revoked token works no longer than that
OWN_PATHS = {
    LIVE_PATH: Scope.OPEN,
    READY_PATH: Scope.OPEN,
    METRICS_PATH: Scope.READ,
    BACKUP_PATH: Scope.OPERATE,
}


def serve(options: ServeOptions) -> signal.Signals | None:
    """Run until SIGINT or SIGTERM; which it was, as far as that can be told. Raises `RequestError` (port taken,
    database in use, no tokens), `DefinitionError` for tokens, agents or tools that cannot be read, and what stopped the
    runtime if it could not go on.
    """
    need_uvicorn(PROGRAM)
    lines = json_lines if options.log_format is LogFormat.JSON else text_lines
    with log_to(lines(sys.stderr)), listen(options.host, options.port) as listener:
        tokens = _tokens(options)
        # Before there is a loop: Ctrl-C ends the import of an author's module, too.
        backend = open_backend(options.db)
        measurements = Measurements()
        reach = local_reach(os.environ, options.allow_http)
        observers = Observers(ExecutionLog(), measurements)
        processes = _processes(options)
        runtime = opened(backend, options.definitions, None, reach, observers, processes)
        measurements.workflow_of = partial(_workflow_of, runtime)
        measurements.registry.register(Gauges(measurements, backend.queue_depths, lambda: runtime.services))
        return asyncio.run(_serve(options, runtime, backend.database, listener, tokens, measurements, processes))


def _processes(options: ServeOptions) -> Processes | None:
    folder = options.definitions / "tools" if options.definitions is not None else None
    return Processes(folder, options.workers) if options.workers and folder is not None else None


def _workflow_of(runtime: LocalRuntime, execution_id: str) -> str:
    header = runtime.services.stores.executions.header(execution_id)
    return header.workflow_id if header is not None else ""


def _tokens(options: ServeOptions) -> TokenFile:
    tokens = TokenFile(options.tokens_file)
    if not len(tokens):
        raise RequestError(
            "no_tokens",
            f"{tokens.file} has no tokens, so nobody could use the server: "
            f"awr tokens create NAME --scope run --file {tokens.file}",
        )
    return tokens


class CurrentApi:
    """The API on the runtime's services as they are: reading agents and tools again makes others."""

    def __init__(self, runtime: LocalRuntime) -> None:
        self._runtime = runtime
        self._application = Application(runtime.services)

    def renew(self) -> None:
        self._application = Application(self._runtime.services)

    @property
    def routes(self) -> tuple[Route, ...]:
        return self._application.routes

    async def __call__(self, event: dict[str, Any], context: Any) -> Any:
        return await self._application.answer(event, context)


async def _serve(
    options: ServeOptions,
    runtime: LocalRuntime,
    database: Database,
    listener: socket.socket,
    tokens: TokenFile,
    measurements: Measurements,
    processes: Processes | None,
) -> signal.Signals | None:
    api = CurrentApi(runtime)
    door = TokenDoor(tokens, api.routes, OWN_PATHS)
    paths = OwnPaths(runtime, lambda: server.is_ending, measurements.text, api)
    gateway = Gateway(lambda: paths, LocalContext(TOPOLOGY.function("api")), log_request, door)
    app = Backups(gateway, door, partial(back_up, database), options.db)
    how = Listening(options.drain_seconds, "the next start continues with it", options.proxies)
    server = Server(runtime, app, listener, how)
    try:
        reloader = Reloader(runtime, options.definitions, None, api.renew)
        reloader.publish_all()
        poke_open_executions(runtime, measurements.saw_open)
        runtime.start()
        logger.info("%d tokens; everything is kept in %s", len(tokens), options.db)
        logger.info("listening on %s", url_of(listener))
        await server.run([_watch_tokens(tokens), _reload_on_hangup(reloader)])
    finally:
        await server.close()
        if processes is not None:
            await processes.close()
    return server.received[0] if server.received else None


async def _watch_tokens(tokens: TokenFile) -> None:
    """Take changed tokens into use, until cancelled."""
    while True:
        await asyncio.sleep(TOKENS_LOOK_SECONDS)
        try:
            if tokens.refresh():
                logger.info("%s was read again: %d tokens", tokens.file, len(tokens))
        except DefinitionError as error:
            log_findings(error.findings)
            logger.error("the tokens stay as they were")


async def _reload_on_hangup(reloader: Reloader) -> None:
    """Take changed definitions into use whenever SIGHUP comes, until cancelled."""
    if not hasattr(signal, "SIGHUP"):  # Windows
        await asyncio.Event().wait()
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        await asked.wait()
        asked.clear()
        await reloader.look()
