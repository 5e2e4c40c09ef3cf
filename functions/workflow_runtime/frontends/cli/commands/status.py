"""`awr status`: an execution as it is, or watched to its end."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.following import execution_document, followed, shown
from workflow_runtime.frontends.cli.options import AsJson, Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server


def status(
    execution: ExecutionId,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show what happens, until it has ended.")] = False,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show an execution: its nodes, states and variables, the events it listens to, its output or error.

    With --json: the execution document.

    \b
    Exit codes:
      0  shown; with --watch: completed    4    cancelled (--watch)
      1  there is no such execution        6    the API cannot be reached
      2  wrong usage                       130  stopped by Ctrl-C; the execution goes on
      3  failed (--watch)
    """
    server = Server(url, token, profile, region, db)
    return asyncio.run(_status(Output(json=json), server, execution, watch=watch))


async def _status(out: Output, server: Server, execution_id: str, *, watch: bool) -> ExitCode:
    async with api(server) as connection:
        if watch:
            return shown(out, await followed(out, connection, execution_id, None, from_start=False))
        shown(out, await execution_document(connection, execution_id))
        return ExitCode.OK
