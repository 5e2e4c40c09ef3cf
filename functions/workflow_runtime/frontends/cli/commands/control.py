"""`awr cancel` and the other requests about an execution as a whole."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import AsJson, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server, header_value
from workflow_runtime.language.json_values import Json

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the history.")]
Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Repeats under one key get the same answer for a day.")
]


def cancel(
    execution: ExecutionId,
    reason: Reason = "",
    key: Key = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Cancel an execution, and the executions whose end it awaits.

    \b
      awr cancel ex-01a2… --reason "the order was withdrawn"

    \b
    Exit codes:
      0  on its way, or cancelled already    2  wrong usage
      1  refused: it has ended otherwise     6  the API cannot be reached
    """
    out, server = Output(json=json), Server(url, token, profile, region)
    return _ask(out, server, "cancel", execution, reason, key, ("cancelling", "cancelled already"))


def suspend(
    execution: ExecutionId,
    reason: Reason = "",
    key: Key = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Suspend an execution, and the executions whose end it awaits.

    Nothing starts any more; what runs in workers ends and is recorded; events, due timers and the like are held in
    order until it is resumed.

    \b
      awr suspend ex-01a2… --reason "the provider has an outage"

    \b
    Exit codes:
      0  on its way, or suspended already    2  wrong usage
      1  refused: it has ended               6  the API cannot be reached
    """
    out, server = Output(json=json), Server(url, token, profile, region)
    return _ask(out, server, "suspend", execution, reason, key, ("suspending", "suspended already"))


def resume(
    execution: ExecutionId,
    reason: Reason = "",
    key: Key = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Resume a suspended execution, and those that were suspended with it.

    \b
      awr resume ex-01a2…

    \b
    Exit codes:
      0  on its way, or not suspended        2  wrong usage
      1  refused: it has ended               6  the API cannot be reached
    """
    out, server = Output(json=json), Server(url, token, profile, region)
    return _ask(out, server, "resume", execution, reason, key, ("resuming", "not suspended"))


def _ask(
    out: Output,
    server: Server,
    operation: str,
    execution: str,
    reason: str,
    key: str | None,
    words: tuple[str, str],
    **fields: Json,
) -> int:
    """Send the request, and show what was answered. ``words``: for one that is on its way, and one not needed."""
    if key is not None:
        header_value("--key", key)

    async def send() -> Document:
        async with api(server) as connection:
            return await connection.control(operation, execution, reason, key=key, **fields)

    answer = asyncio.run(send())
    out.document(answer)
    out.line([(f"{words[0] if answer['changed'] else words[1]}: ", "yellow"), execution])
    return ExitCode.OK
