"""`awr run`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.commands.options import AsJson, Definitions, Input, existing
from workflow_runtime.frontends.cli.output import Output


class BackendName(StrEnum):
    EMBEDDED = "embedded"
    MOTO = "moto"


File = Annotated[Path | None, typer.Argument(**existing("FILE", "The workflow to run; optional with --resume."))]
Others = Annotated[
    list[Path] | None, typer.Option("--with", **existing("FILE", "Publish this workflow too (repeatable)."))
]
MocksFile = Annotated[Path | None, typer.Option("--mocks", **existing("FILE", "Answers in place of agents and tools."))]
Backend = Annotated[
    BackendName, typer.Option("--backend", help="embedded (SQLite), or moto: the AWS adapters on a simulated AWS.")
]
Database = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", dir_okay=False, help="Keep everything in this file; default: in memory."),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="NAME[=JSON]|@TIME",
        help="Send this event once all before it has settled; @24h lets time pass instead (repeatable).",
    ),
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="ID", help="Go on with an execution of --db that was interrupted.")
]
SkipTime = Annotated[
    bool, typer.Option("--skip-time", help="Do not wait: time passes at once, until only timers repeat.")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="S", min=0.001, help="Stop after this many real seconds.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every attempt, with tracebacks, on stderr.")]


def run(
    file: File = None,
    others: Others = None,
    input: Input = None,
    mocks: MocksFile = None,
    definitions: Definitions = None,
    backend: Backend = BackendName.EMBEDDED,
    db: Database = None,
    resume: Resume = None,
    skip_time: SkipTime = False,
    event: Events = None,
    timeout: Timeout = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Run a workflow on this machine, to its end.

    \b
      awr run flow.yaml --input '{"topic": "storage"}' --mocks mocks.yaml
      awr run flow.yaml --input @input.json --db runs.db
      awr run order.yaml --event pay='{"payment_method": "card"}' --event @24h --event confirm
      awr run --resume ex-01a2… --db runs.db

    Real agents need their provider's credentials; --mocks runs without. A secret NAME is read from the
    variable WORKFLOW_SECRET_NAME, ${env.NAME} from WORKFLOW_ENV_NAME.

    \b
    Exit codes:
      0  completed              5    waits for something outside
      1  wrong definition       124  stopped by --timeout
         or input               130  stopped by Ctrl-C (with --db it can be resumed)
      2  wrong usage
      3  failed
      4  cancelled
    """
    from workflow_runtime.frontends.cli import running

    options = running.RunOptions(
        file, tuple(others or ()), input, mocks, definitions, backend.value, db, resume, skip_time, timeout, verbose,
        tuple(event or ()),
    )  # fmt: skip
    return running.run(Output(json=json), options)
