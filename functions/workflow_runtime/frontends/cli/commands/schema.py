"""`awr schema`: the JSON Schema of a kind of file, for editors."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from typing import Annotated

import typer

import workflow_runtime
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.output import Output


class Kind(StrEnum):
    """Of the files in the package's folder ``schemas``; a test compares them."""

    WORKFLOW = "workflow"
    AGENTS = "agents"
    TOOLS = "tools"
    MCP = "mcp"
    LIMITS = "limits"
    MOCKS = "mocks"
    TEAM = "team"
    SCENARIO = "scenario"


def schema(kind: Annotated[Kind, typer.Argument(help="What the file holds.", show_default=False)]) -> int:
    """Print the JSON Schema of workflows, agents, tools, MCP servers, limits, mocks, teams or scenarios.

    \b
      awr schema workflow > workflow.schema.json

    Editors with a YAML language server complete and check a file that begins with
    `# yaml-language-server: $schema=workflow.schema.json` (the path is relative to that file).

    Exit codes: 0 printed, 2 wrong usage.
    """
    text = (files(workflow_runtime) / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8")
    Output().text(text)
    return ExitCode.OK
