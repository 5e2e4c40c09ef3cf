"""`awr invoke`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.commands.options import AsJson, Definitions, existing
from workflow_runtime.frontends.cli.output import Output

FunctionName = Annotated[str, typer.Argument(metavar="FUNCTION", help="One of the Lambda functions, as dispatch.")]
EventFile = Annotated[Path, typer.Argument(**existing("EVENT", "What it gets, as JSON; events/ has samples."))]
MocksFile = Annotated[Path | None, typer.Option("--mocks", **existing("FILE", "Answers in place of agents and tools."))]
Database = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", dir_okay=False, help="Keep everything in this file; default: in memory."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every attempt, with tracebacks, on stderr.")]


def invoke(
    function: FunctionName,
    event: EventFile,
    definitions: Definitions = None,
    mocks: MocksFile = None,
    db: Database = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Call one Lambda function on this machine with an event from a file, and print its answer.

    \b
      awr invoke api events/api/create_workflow.json --db try.db
      awr invoke api events/api/start_execution.json --db try.db
      awr invoke dispatch events/dispatch/poked.json --db try.db

    The workflows of the definitions directory are published before. What the function sends stays in its queue,
    in --db for `awr dev`, which delivers it.

    Exit codes: 0 it answered, 1 the event is not for this function, 2 wrong usage, 3 it wants messages again.
    """
    from workflow_runtime.frontends.cli import invoking

    options = invoking.InvokeOptions(function, event, definitions, mocks, db, verbose)
    return invoking.invoke(Output(json=json), options)
