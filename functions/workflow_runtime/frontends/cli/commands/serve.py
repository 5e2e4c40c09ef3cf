"""`awr serve`: the production server of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.options import AllowHttp, existing
from workflow_runtime.frontends.dev.options import PORT_DEFAULT, definitions_default
from workflow_runtime.frontends.serve.options import DRAIN_SECONDS, HELP, WORKERS_MAX, LogFormat, ServeOptions
from workflow_runtime.frontends.serve.server import serve as run_server
from workflow_runtime.frontends.server.running import LOOPBACK_HOST, exit_code


def serve(
    db: Annotated[
        Path,
        typer.Option("--db", metavar="FILE", dir_okay=False, help="Keep everything in this file.", show_default=False),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen on this address; 0.0.0.0: on all of this machine.")
    ] = LOOPBACK_HOST,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: any free one.")] = PORT_DEFAULT,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Who may call. Default: tokens.yaml beside the database."),
    ] = None,
    definitions: Annotated[
        Path | None,
        typer.Option(
            "--definitions",
            **existing("DIR", "Workflows, agents and tools. Default: ./definitions.", directory=True, file=False),
        ),
    ] = None,
    forwarded_allow_ips: Annotated[
        str,
        typer.Option(metavar="ADDRESSES", help="Believe X-Forwarded-For of these proxies, with commas; *: of all."),
    ] = "",
    drain: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="At the end, how long nodes under way may go on.")
    ] = DRAIN_SECONDS,
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, max=WORKERS_MAX, help="Processes for tools that are not async; 0: none.")
    ] = 0,
    log_format: Annotated[LogFormat, typer.Option(help="Of the lines on stderr.")] = LogFormat.JSON,
    allow_http: AllowHttp = None,
) -> int:
    options = ServeOptions(
        db,
        host,
        port,
        tokens,
        definitions or definitions_default(),
        forwarded_allow_ips,
        drain,
        log_format,
        tuple(allow_http or ()),
        workers,
    )
    return exit_code(run_server(options))


serve.__doc__ = HELP
