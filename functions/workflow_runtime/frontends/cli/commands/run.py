"""`awr run`: publish, start or resume, run to the end, say how it went."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import RealClock, VirtualClock
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.compilation import show_warnings
from workflow_runtime.frontends.cli.deciding import Decisions, check_decisions, parse_decisions
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import definitions_directory, read_input, read_source, workflows_beside
from workflow_runtime.frontends.cli.local import local_runtime, only_open_execution
from workflow_runtime.frontends.cli.options import (
    AllowHttp,
    AsJson,
    Definitions,
    Input,
    MocksFile,
    NewDatabase,
    Verbose,
    existing,
)
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.run_to_end import RunOptions, RunToEnd
from workflow_runtime.frontends.cli.stderr_log import log_to_stderr
from workflow_runtime.frontends.cli.stepping import EventStep, Step, moves_time, parse_steps
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.plan.plan import Plan
from workflow_runtime.runtime.in_process import Backend as OpenBackend
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.intake.signals import check_event
from workflow_runtime.storage.workflows import WorkflowVersion


class BackendName(StrEnum):
    EMBEDDED = "embedded"
    MOTO = "moto"


File = Annotated[Path | None, typer.Argument(**existing("FILE", "The workflow to run; optional with --resume."))]
Others = Annotated[
    list[Path] | None, typer.Option("--with", **existing("FILE", "Publish this workflow too (repeatable)."))
]
Backend = Annotated[
    BackendName, typer.Option("--backend", help="embedded (SQLite), or moto: the AWS adapters on a simulated AWS.")
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="[@TIME:]NAME[=JSON]|@TIME",
        help="Send this event once all before it has settled; @24h lets time pass instead; @2s:NAME sends it two "
        "seconds later, while work goes on (repeatable).",
    ),
]
Approvals = Annotated[
    list[str] | None,
    typer.Option("--approve", metavar="PATH[=JSON]", help="Approve what this node asks, with this data (repeatable)."),
]
Rejections = Annotated[
    list[str] | None,
    typer.Option("--reject", metavar="PATH[=TEXT]", help="First reject what it asks, with this comment (repeatable)."),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[ID]",
        help="Resume an interrupted execution of --db; without ID: the open one.",
    ),
]
SkipTime = Annotated[
    bool, typer.Option("--skip-time", help="Do not wait: time passes at once, until only timers repeat.")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="S", min=0.001, help="Stop after this many real seconds.")
]


def run(
    file: File = None,
    others: Others = None,
    input: Input = None,
    mocks: MocksFile = None,
    definitions: Definitions = None,
    backend: Backend = BackendName.EMBEDDED,
    db: NewDatabase = None,
    resume: Resume = None,
    skip_time: SkipTime = False,
    event: Events = None,
    approve: Approvals = None,
    reject: Rejections = None,
    timeout: Timeout = None,
    allow_http: AllowHttp = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Run a workflow on this machine, to its end.

    \b
      awr run flow.yaml --input '{"topic": "storage"}' --mocks mocks.yaml
      awr run flow.yaml --input @input.json --db runs.db
      awr run order.yaml --event pay='{"payment_method": "card"}' --event @24h --event confirm
      awr run --resume --db runs.db

    Real agents need their provider's credentials; --mocks runs without. A secret NAME is read from the
    variable WORKFLOW_SECRET_NAME, ${env.NAME} from WORKFLOW_ENV_NAME.

    \b
    Exit codes:
      0  completed              5    waits for something outside
      1  wrong definition       124  stopped by --timeout
         or input               129, 130, 143  stopped by SIGHUP, Ctrl-C, SIGTERM
      2  wrong usage                           (with --db it can be resumed)
      3  failed
      4  cancelled
    """
    options = RunOptions(
        file, tuple(others or ()), input, mocks, definitions, backend.value, db, resume, skip_time, timeout, verbose,
        tuple(event or ()), tuple(allow_http or ()), tuple(approve or ()), tuple(reject or ()),
    )  # fmt: skip
    return _carry_out(Output(json=json), options)


def _carry_out(out: Output, options: RunOptions) -> ExitCode:
    steps = parse_steps(options.events)
    decisions = parse_decisions(options.approvals, options.rejections)
    _check(options, steps)
    input = read_input(options.input)
    with (
        log_to_stderr(options.verbose),
        redirect_stdout(sys.stderr),  # what tools print is not the result
        _open_runtime(options, virtual=options.skip_time or moves_time(steps)) as runtime,
    ):
        if options.resume is not None:
            execution_id = options.resume or only_open_execution(runtime, options.db)
            runtime.services.documents.status(execution_id)
            runtime.services.mailer.poke(execution_id)
        else:
            execution_id = _start(out, runtime, options, steps, input, decisions)
        out.note([("resumed " if options.resume is not None else "started ", "green"), execution_id])
        asks = not out.json and sys.stdin.isatty() and sys.stderr.isatty()
        people = Decisions(out, runtime, execution_id, decisions, options.db, asks=asks)
        return RunToEnd(out, options, runtime, execution_id, steps, people).to_the_end()


def _check(options: RunOptions, steps: Sequence[Step]) -> None:
    """Refuse what does not go together, with the reason."""
    if options.backend == "moto" and options.db is not None:
        raise usage_error("--db does not go with --backend moto: the simulated AWS is in memory, nothing outlives it")
    if options.backend == "moto" and options.skip_time:
        raise usage_error("--skip-time does not go with --backend moto: the simulated AWS runs in real time only")
    if options.backend == "moto" and moves_time(steps):
        raise usage_error("--event @… does not go with --backend moto: the simulated AWS runs in real time only")
    if options.timeout is not None and math.isnan(options.timeout):
        raise usage_error("--timeout is a number of seconds")
    if options.resume is None:
        if options.file is None:
            raise usage_error("which workflow? give a FILE, or --resume ID --db FILE")
        return
    if options.db is None:
        raise usage_error("--resume needs --db: the database file of the run that was interrupted")
    if not options.db.is_file():
        raise usage_error(f"there is no database {options.db}")
    if options.input is not None or options.others:
        raise usage_error(
            "--resume goes on with the input and the plan that the execution started with: leave out --input and --with"
        )


def _open_runtime(options: RunOptions, *, virtual: bool) -> LocalRuntime:
    definitions = options.definitions or definitions_directory(options.file)
    backend = _open_backend(options, virtual=virtual)
    given = [file for file in (options.file, *options.others) if file is not None]
    return local_runtime(
        backend,
        definitions,
        options.mocks,
        verbose=options.verbose,
        allow_http=options.allow_http,
        files=lambda: workflows_beside(given, definitions),
    )


def _open_backend(options: RunOptions, *, virtual: bool) -> OpenBackend:
    if options.backend == "moto":
        try:
            from workflow_runtime.backends.simulated_aws.simulated import open_backend as open_simulated

            return open_simulated()
        except ModuleNotFoundError as error:
            hint = "pip install 'agent-workflow-runtime[moto]', or run without --backend moto"
            raise usage_error(f"--backend moto needs the package {error.name}", hint) from None
    return open_backend(options.db, VirtualClock(RealClock().now()) if virtual else None)


def _start(
    out: Output,
    runtime: LocalRuntime,
    options: RunOptions,
    steps: Sequence[Step],
    input: Any,
    decisions: Mapping[str, object],
) -> str:
    """Publish all files and start the first. What nothing listens to, and what nobody asks, is reported before."""
    assert options.file is not None
    definitions = options.definitions or definitions_directory(options.file)
    first = publish_to_run(out, runtime, [options.file, *options.others], options.mocks, definitions)
    plan = runtime.services.catalog.plan(first)
    check_decisions(decisions, [plan])
    for step in steps:
        if isinstance(step, EventStep):
            check_event(plan, step.name, step.data)
    return runtime.services.starter.start(first.workflow_id, input)


def publish_to_run(
    out: Output, runtime: LocalRuntime, given: Sequence[Path], mocks: Path | None, definitions: Path | None
) -> WorkflowVersion:
    """The version of the first file. Warnings are shown. Raises `CliError` with the errors of all files, or with the
    mocks of what nothing calls."""
    errors: list[Finding] = []
    versions: list[WorkflowVersion] = []
    plans: list[Plan] = []
    files = list(given)
    for path in files:  # which grows by the files of those that are started
        try:
            published = runtime.services.catalog.publish(read_source(path), str(path), scheduled=False)
        except DefinitionError as error:
            errors += error.findings
            continue
        versions.append(published.version)
        plans.append(published.plan)
        show_warnings(out, published.warnings)
        files += _started_by(runtime, published.plan, files)
    if errors:
        raise CliError("invalid_definition", "nothing was started: the definition is not valid", findings=errors)
    unknown = _unknown_mocks(runtime, plans, mocks, definitions) if mocks is not None else []
    if unknown:
        raise CliError("invalid_mocks", "nothing was started: the mocks are not valid", findings=unknown)
    return versions[0]


def _started_by(runtime: LocalRuntime, plan: Plan, files: Sequence[Path]) -> list[Path]:
    """The files of workflows that this one starts, but for ``files``."""
    found = [file for id in sorted(plan.starts) if (file := runtime.workflow_files.file_of(id)) is not None]
    known = {file.absolute() for file in files}
    return [file for file in found if file not in known]


def _unknown_mocks(
    runtime: LocalRuntime, plans: Sequence[Plan], mocks: Path, definitions: Path | None
) -> list[Finding]:
    from workflow_runtime.frontends.client.mock_targets import unknown_mocks  # with it comes the SDK

    return unknown_mocks(Mocks.load(mocks), runtime.services.catalog.catalogue, plans, definitions)
