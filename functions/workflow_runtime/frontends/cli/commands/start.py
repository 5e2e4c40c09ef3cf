"""`awr start`: an execution of a published workflow."""

from __future__ import annotations

import asyncio
import math
import shlex
from typing import Annotated

import typer

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.commands.status import followed, shown
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.files import read_input
from workflow_runtime.frontends.cli.options import AsJson, Input, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server, header_value
from workflow_runtime.language.json_values import Json


def start(
    workflow: Annotated[str, typer.Argument(metavar="ID", help="The workflow.", show_default=False)],
    input: Input = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="A start with a key seen before gives the first one's execution."),
    ] = None,
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="S", min=0, help="Watch it for up to this many seconds.")
    ] = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Start an execution of a published workflow; print its id, or with --wait how it ends.

    \b
      awr start greeting --input '{"name": "Ada"}' --wait 30

    \b
    Exit codes:
      0  started, or completed     4    cancelled (--wait)
      1  refused                   6    the API cannot be reached
      2  wrong usage               124  it goes on after --wait seconds
      3  failed (--wait)
    """
    if wait is not None and not math.isfinite(wait):
        raise usage_error("--wait is a number of seconds")
    if key is not None:
        header_value("--key", key)
    server = Server(url, token, profile, region)
    return asyncio.run(_start(Output(json=json), server, workflow, read_input(input), key, wait))


async def _start(
    out: Output, server: Server, workflow_id: str, input: Json, key: str | None, wait_seconds: float | None
) -> ExitCode:
    async with api(server) as connection:
        execution_id = await connection.start(workflow_id, input, version=None, idempotency_key=key)
        if wait_seconds is None:
            out.line(execution_id)  # and nothing else: scripts take it from here
            out.document({"execution_id": execution_id, "workflow_id": workflow_id})
            return ExitCode.OK
        out.note([("started ", "green"), execution_id])
        document = await followed(out, connection, execution_id, wait_seconds, from_start=True)
        code = shown(out, document)
        if ExecutionStatus(document["status"]).terminal:
            return code
        out.note([(f"not ended after {wait_seconds:g} s; it goes on", "bold yellow")])
        out.note([("hint: ", "cyan"), shlex.join(["awr", "status", execution_id, "--watch", "--url", server.url])])
        return ExitCode.TIMED_OUT
