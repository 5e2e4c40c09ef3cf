"""`awr logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from workflow_runtime.frontends.cli.commands.options import AsJson
from workflow_runtime.frontends.cli.commands.remote import ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server

SINCE_DEFAULT = "24h"


def logs(
    execution: ExecutionId,
    stack: Annotated[
        str | None,
        typer.Option(
            "--stack",
            metavar="NAME",
            envvar="AWR_STACK",
            help="Read this stack's logs. Default: WorkflowRuntime; awr dev's, if --url is on this machine.",
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back: 30m, 24h, 7d.")] = SINCE_DEFAULT,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines, until Ctrl-C.")] = False,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show what all functions logged about an execution, the oldest line first.

    \b
    Of a deployed runtime, it asks CloudWatch Logs with your AWS credentials (as the AWS CLI finds them, or
    --profile and --region), for the query that the stack saved; new lines take up to a minute to be found.
    Of awr dev, it asks that. awr history shows what happened without what was logged.

    Exit codes: 0 shown, 1 there is no such stack or no access to its logs, 2 wrong usage, 6 awr dev cannot be reached,
    130 stopped by Ctrl-C.
    """
    from workflow_runtime.frontends.cli import searching

    server = Server(url, token, profile, region)
    out = Output(json=json)
    return searching.logs(out, searching.source_of(server, stack), execution, since, follow=follow)
