"""`awr dev`: the whole runtime on this machine, behind its HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.options import AllowHttp, MocksFile, NewDatabase, existing
from workflow_runtime.frontends.dev.options import HELP, PORT_DEFAULT, DevOptions, definitions_default
from workflow_runtime.frontends.dev.server import serve
from workflow_runtime.frontends.server.running import exit_code


def dev(
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Of the HTTP API on 127.0.0.1; 0: any free one.")
    ] = PORT_DEFAULT,
    db: NewDatabase = None,
    definitions: Annotated[
        Path | None,
        typer.Option(
            "--definitions",
            **existing(
                "DIR",
                "Workflows, agents and tools, picked up as they change. Default: ./definitions.",
                directory=True,
                file=False,
            ),
        ),
    ] = None,
    mocks: MocksFile = None,
    allow_http: AllowHttp = None,
) -> int:
    options = DevOptions(port, db, definitions or definitions_default(), mocks, tuple(allow_http or ()))
    return exit_code(serve(options))


dev.__doc__ = HELP
