"""`awr export`: an execution as a recording, which `awr replay` takes again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.engine.recording import Recording, encode_recording
from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server


def export(
    execution: ExecutionId,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write it here, not to stdout."),
    ] = None,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
) -> int:
    """Export an execution as a recording: its journal, its plan, and of the data what decisions read.

    \b
      awr export ex-01a2… -o refund.json && awr replay refund.json

    A recording can be kept and replayed with later versions: by awr replay, or in tests by workflow_runtime.testing's
    replay. It holds data of the execution.

    Exit codes: 0 fine, 1 there is no such execution, 2 wrong usage, 6 the API cannot be reached.
    """
    recording = asyncio.run(recorded(Server(url, token, profile, region, db), execution))
    text = encode_recording(recording) + b"\n"
    out = Output()
    if output is None:
        out.text(text.decode())
    else:
        output.write_bytes(text)
        out.line([f"{output}: ", (f"{len(recording.entries):,} commits, {len(text):,} bytes", "dim")])
    return ExitCode.OK


async def recorded(server: Server, execution_id: str) -> Recording:
    """The execution's recording until now. Raises `CliError`."""
    async with api(server) as connection:
        return await connection.recording(execution_id)
