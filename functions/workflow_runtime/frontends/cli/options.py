"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def existing(metavar: str, help: str, *, directory: bool = False, file: bool = True) -> dict[str, Any]:
    """Typer's settings for a path that must exist."""
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

Url = Annotated[
    str, typer.Option("--url", metavar="URL", envvar="AWR_URL", help="The API; requests to AWS hosts are signed.")
]

Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", envvar="AWR_TOKEN", help="Sent as a bearer token, instead of signing."),
]

Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Sign with this profile's AWS credentials, not AWS_PROFILE's."),
]

Region = Annotated[
    str | None,
    typer.Option("--region", metavar="NAME", help="Sign for this region, if the URL names none; signs any URL."),
]

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="The execution.", show_default=False)]
AllowHttp = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-http",
        metavar="HOST",
        help="Let http_request reach this host, address or network too, e.g. localhost (repeatable).",
    ),
]
MocksFile = Annotated[Path | None, typer.Option("--mocks", **existing("FILE", "Answers in place of agents and tools."))]
NewDatabase = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", dir_okay=False, help="Keep everything in this file; default: in memory."),
]
Database = Annotated[
    Path | None,
    typer.Option("--db", **existing("FILE", "Read this file of awr run or awr dev, instead of asking an API.")),
]
ChangedDatabase = Annotated[
    Path | None,
    typer.Option("--db", **existing("FILE", "Ask it of this file of awr run or awr dev, instead of an API.")),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every attempt, with tracebacks, on stderr.")]
