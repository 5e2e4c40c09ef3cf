"""`awr import`: what `awr export --all` has written, into another deployment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.moving import import_all
from workflow_runtime.frontends.cli.options import ChangedDatabase, Profile, Region, Token, Url, existing
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server


def import_(
    file: Annotated[Path, typer.Argument(**existing("FILE", "The export."))],
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
) -> int:
    """Import workflows, limits and ended executions that awr export --all has written: from a server to AWS, or back.

    What is there already stays as it is, so an import that was interrupted is asked for again. A server asks for a
    token with the scope operate. Agents and tools are not part of it: they are deployed.

    \b
      awr export --all -o moved.jsonl
      awr import moved.jsonl --url https://….execute-api.eu-central-1.amazonaws.com

    Exit codes: 0 all of it, 1 a workflow was refused or the file is not an export, 2 wrong usage, 6 the API cannot be
    reached.
    """
    whole = asyncio.run(import_all(Server(url, token, profile, region, db), file, Output()))
    return ExitCode.OK if whole else ExitCode.INVALID
