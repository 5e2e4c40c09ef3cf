"""`awr validate`, `awr compile`, `awr graph`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.commands.options import AsJson, Definitions, WorkflowFile, WorkflowPaths, existing
from workflow_runtime.frontends.cli.commands.remote import Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server


class GraphFormat(StrEnum):
    """Of `compiler.graphs.FORMATS`, which takes too long to import for a help text; a test compares them."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    TEXT = "text"


def validate(
    paths: WorkflowPaths,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    json: AsJson = False,
    definitions: Definitions = None,
) -> int:
    """Check workflows; print everything that is wrong, with its place and what to do.

    In directories every *.yaml, *.yml and *.json file with a top-level `workflow:` is checked.

    Exit codes: 0 fine, 1 errors (with --strict also warnings), 2 wrong usage.
    """
    from workflow_runtime.frontends.cli import checking

    return checking.validate(Output(json=json), paths, definitions, strict)


def compile_(file: WorkflowFile, json: AsJson = False, definitions: Definitions = None) -> int:
    """Compile a workflow; print its plan's hash, what can run side by side, and the critical path.

    With --json: the plan itself and its analysis.
    """
    from workflow_runtime.frontends.cli import checking

    return checking.compile_file(Output(json=json), file, definitions)


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
    db: Annotated[
        Path | None, typer.Option("--db", **existing("FILE", "Read --execution from this file of awr run or awr dev."))
    ] = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
) -> int:
    """Draw a workflow, or an execution: its nodes' statuses and its active states are marked.

    \b
      awr graph flow.yaml --format svg --output flow.svg
      awr graph --execution ex-01a2… --format text
      awr graph --execution ex-01a2… --db runs.db

    Exit codes: 0 drawn, 1 wrong definition or no such execution, 2 wrong usage, 6 the API cannot be reached.
    """
    from workflow_runtime.frontends.cli import drawing

    asked = drawing.GraphOptions(format.value, output, definitions, execution, db)
    return drawing.graph(Output(), file, asked, Server(url, token, profile, region))
