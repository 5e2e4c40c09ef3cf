"""`awr record`: an execution as a cassette."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.cassettes import recorded, without_secrets
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.invokers.cassettes.file import Cassette, encode_cassette
from workflow_runtime.language.texts import counted


def record(
    execution: ExecutionId,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write it here, not to stdout."),
    ] = None,
    redact: Annotated[
        list[str] | None,
        typer.Option("--redact", metavar="REGEX", help="Hide what matches, beside credentials (repeatable)."),
    ] = None,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
) -> int:
    """Record an execution that has ended as a cassette: what its models, tools and people said.

    \b
      awr record ex-01a2… -o tests/cassettes/refund.json
      def test_it_runs_as_recorded(replayed):
          replayed("tests/cassettes/refund.json")

    With a cassette it can be taken again without them: in tests by the fixture replayed, with changes by awr whatif. A
    cassette holds data of the execution. Hidden in it are secrets of workflows, the values of WORKFLOW_SECRET_…
    variables here, what looks like credentials (keys of providers, tokens, private keys), and what --redact matches.

    Exit codes: 0 fine, 1 it cannot be recorded, 2 wrong usage, 6 the API cannot be reached.
    """
    cassette = without_secrets(asyncio.run(recorded(Server(url, token, profile, region, db), execution)), redact or ())
    data = encode_cassette(cassette)
    out = Output()
    if output is None:
        out.text(data.decode())
        return ExitCode.OK
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(data)
    out.line([f"{output}: ", (f"{_told(cassette)}, {len(data):,} bytes", "dim")])
    return ExitCode.OK


def _told(cassette: Cassette) -> str:
    steps = sum(len(visit.steps) for visit in cassette.visits)
    hidden = f", {counted(cassette.redacted, 'text')} hidden" if cassette.redacted else ""
    return f"{counted(len(cassette.visits), 'node run')}, {counted(steps, 'step')} of agents{hidden}"
