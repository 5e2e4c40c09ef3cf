"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def existing(metavar: str, help: str, *, directory: bool = False, file: bool = True) -> dict[str, Any]:
    """What typer is told of a path that must exist."""
    return {"metavar": metavar, "help": help, "exists": True, "dir_okay": directory, "file_okay": file}


WorkflowFile = Annotated[Path, typer.Argument(**existing("FILE", "The workflow."))]
WorkflowPaths = Annotated[
    list[Path], typer.Argument(**existing("PATH…", "Files, or directories to search.", directory=True))
]
Definitions = Annotated[
    Path | None,
    typer.Option(
        "--definitions",
        **existing(
            "DIR",
            "Where agents/ and tools/ are declared. Default: found above the workflow.",
            directory=True,
            file=False,
        ),
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON document on stdout; all else goes to stderr.")
]
Input = Annotated[
    str | None,
    typer.Option("--input", "-i", metavar="JSON|@FILE", help="The input, a JSON object; @- reads stdin."),
]
