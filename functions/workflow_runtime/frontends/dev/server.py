"""`awr dev`: the runtime on loopback, with definitions that are picked up as they change."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.errors import DefinitionError, WorkflowRuntimeError
from workflow_runtime.frontends.dev.doors import BusDoor, LogDoor
from workflow_runtime.frontends.dev.options import HELP, PORT_DEFAULT, DevOptions, definitions_default
from workflow_runtime.frontends.dev.recent import RecentLines
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.frontends.server.log import ExecutionLog, log_findings, log_request, log_to, logger, text_lines
from workflow_runtime.frontends.server.reload import Reloader
from workflow_runtime.frontends.server.running import (
    INTERRUPTED_EXIT_CODE,
    LOOPBACK_HOST,
    Listening,
    Server,
    exit_code,
    listen,
    need_uvicorn,
    opened,
    poke_open_executions,
    url_of,
)
from workflow_runtime.invokers.tools.reach import ALLOW_HTTP, local_reach
from workflow_runtime.language.texts import visible_lines
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.making import handler_of

PROGRAM = "awr dev"
DRAIN_SECONDS = 10.0  # at the end, for attempts under way when there is a file to record them in


def serve(options: DevOptions) -> signal.Signals | None:
    """Run until SIGINT or SIGTERM; which it was, as far as that can be told. Raises `RequestError` (port taken,
    database in use), `DefinitionError` for agents, tools or mocks that cannot be read, and what stopped the runtime if
    it could not go on.
    """
    need_uvicorn(PROGRAM)
    with log_to_stderr() as recent, listen(LOOPBACK_HOST, options.port) as listener:
        reach = local_reach(os.environ, options.allow_http)
        # Before there is a loop: Ctrl-C ends the import of an author's module, too.
        runtime = opened(open_backend(options.db), options.definitions, options.mocks, reach, ExecutionLog())
        return asyncio.run(_serve(options, runtime, listener, recent))


async def _serve(
    options: DevOptions, runtime: LocalRuntime, listener: socket.socket, recent: RecentLines
) -> signal.Signals | None:
    function = TOPOLOGY.function("api")
    handlers: list[Any] = []

    def renew_handler() -> None:
        handlers[:] = [handler_of(function, runtime.services)]

    doors = LogDoor(recent, BusDoor(runtime.ports.bus, lambda: handlers[0]))
    gateway = Gateway(lambda: doors, LocalContext(function), log_request)
    server = Server(runtime, gateway, listener, _listening(options))
    try:
        reloader = Reloader(runtime, options.definitions, options.mocks, renew_handler)
        reloader.publish_all()
        poke_open_executions(runtime)
        renew_handler()
        runtime.start()
        _announce(options, listener)
        await server.run([reloader.watch()])
    finally:
        await server.close()
    return server.received[0] if server.received else None


def _listening(options: DevOptions) -> Listening:
    if options.db is None:
        return Listening(0.0, "nothing is kept without --db")
    return Listening(DRAIN_SECONDS, f"awr dev --db {options.db} goes on with it")


def _announce(options: DevOptions, listener: socket.socket) -> None:
    if options.definitions is None:
        logger.warning(
            "there is no directory `definitions` here: nothing is published; --definitions DIR names another"
        )
    if options.db is None:
        logger.warning("everything is kept in memory and ends with this process; --db FILE keeps it")
    else:
        logger.info("everything is kept in %s", options.db)
    logger.info("listening on %s", url_of(listener))


@contextmanager
def log_to_stderr() -> Generator[RecentLines, None, None]:
    """Gives the lines logged inside, too."""
    recent = RecentLines()
    with log_to(text_lines(sys.stderr)), log_to(recent):
        yield recent


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
