"""`awr validate`, `awr compile`, `awr graph`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.cli.commands.options import AsJson, Definitions, WorkflowFile, WorkflowPaths
from workflow_runtime.cli.output import Output


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
    from workflow_runtime.cli import checking

    return checking.validate(Output(json=json), paths, definitions, strict)


def compile_(file: WorkflowFile, json: AsJson = False, definitions: Definitions = None) -> int:
    """Compile a workflow; print its plan's hash, what can run side by side, and the critical path.

    With --json: the plan itself and its analysis.
    """
    from workflow_runtime.cli import checking

    return checking.compile_file(Output(json=json), file, definitions)


def graph(
    file: WorkflowFile,
    format: Annotated[
        GraphFormat, typer.Option("--format", "-f", help="mermaid, dot (Graphviz), svg, or text for a terminal.")
    ] = GraphFormat.MERMAID,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write there, not to stdout.")
    ] = None,
    definitions: Definitions = None,
) -> int:
    """Draw a workflow.

    \b
      awr graph flow.yaml --format svg --output flow.svg
    """
    from workflow_runtime.cli import checking

    return checking.graph(Output(), file, format.value, output, definitions)
