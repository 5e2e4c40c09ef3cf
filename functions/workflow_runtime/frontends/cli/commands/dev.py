"""`awr dev`: what it does is `workflow_runtime.frontends.dev`, imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.dev.options import HELP, PORT_DEFAULT, DevOptions, definitions_default


def dev(
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Of the HTTP API on 127.0.0.1; 0: any free one.")
    ] = PORT_DEFAULT,
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="FILE", dir_okay=False, help="Keep everything in this file; default: in memory."),
    ] = None,
    definitions: Annotated[
        Path | None,
        typer.Option(
            "--definitions",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Workflows, agents and tools, taken into use as they change. Default: ./definitions.",
        ),
    ] = None,
    mocks: Annotated[
        Path | None,
        typer.Option(
            "--mocks", metavar="FILE", exists=True, dir_okay=False, help="Answers in place of agents and tools."
        ),
    ] = None,
) -> int:
    import asyncio

    from workflow_runtime.frontends.dev.server import serve

    asyncio.run(serve(DevOptions(port, db, definitions or definitions_default(), mocks)))
    return 0


dev.__doc__ = HELP
