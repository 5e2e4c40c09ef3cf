"""`awr graph`: a workflow as its file has it, or an execution, with its statuses and its path marked."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.drawing import render
from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.compilation import plan_of
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.options import Database, Definitions, Profile, Region, Token, Url, existing
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server


class GraphFormat(StrEnum):
    """Of `drawing.FORMATS`; a test compares them."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    TEXT = "text"


def graph(
    file: Annotated[Path | None, typer.Argument(**existing("FILE", "The workflow. Not with --execution."))] = None,
    format: Annotated[
        GraphFormat, typer.Option("--format", "-f", help="mermaid, dot (Graphviz), svg, or text for a terminal.")
    ] = GraphFormat.MERMAID,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write there, not to stdout.")
    ] = None,
    definitions: Definitions = None,
    execution: Annotated[
        str | None,
        typer.Option("--execution", metavar="ID", help="Draw what it runs, and mark where it is. Read from --url."),
    ] = None,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
) -> int:
    """Draw a workflow, or an execution: statuses, active states and the path taken are marked.

    \b
      awr graph flow.yaml --format svg --output flow.svg
      awr graph --execution ex-01a2… --format text
      awr graph --execution ex-01a2… --db runs.db

    Exit codes: 0 drawn, 1 wrong definition or no such execution, 2 wrong usage, 6 the API cannot be reached.
    """
    out = Output()
    if execution is not None:
        if file is not None or definitions is not None:
            raise usage_error("--execution draws the plan that it started with: leave out FILE and --definitions")
        drawing = asyncio.run(_of_execution(Server(url, token, profile, region, db), execution, format))
    elif db is not None:
        raise usage_error("--db goes with --execution: which one in that file?")
    elif file is None:
        raise usage_error("what to draw? give a FILE, or --execution ID")
    else:
        plan, _ = plan_of(out, file, definitions)
        drawing = render(plan, format)
    if output is None:
        out.text(drawing)
        return ExitCode.OK
    output.write_text(drawing, encoding="utf-8")
    out.note([("written ", "green"), str(output)])
    return ExitCode.OK


async def _of_execution(server: Server, execution_id: str, format: str) -> str:
    async with api(server) as connection:
        return await connection.drawing(execution_id, format)
