"""`awr run`: publish, start or resume, run to the end, say how it went."""

from __future__ import annotations

import asyncio
import math
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import RealClock, VirtualClock
from workflow_runtime.frontends.cli.charts import event_lines, timer_lines
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.files import definitions_directory, read_input, workflows_beside
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
from workflow_runtime.frontends.cli.progress import LocalWatch, Progress, epoch_ms
from workflow_runtime.frontends.cli.publication import publish_to_run
from workflow_runtime.frontends.cli.repeating import Repetition, repeat_lines
from workflow_runtime.frontends.cli.stderr_log import log_to_stderr
from workflow_runtime.frontends.cli.stepping import EventStep, Step, Stepper, moves_time, parse_steps
from workflow_runtime.frontends.cli.summary import dead_letter_lines, show_summary, waiting_lines
from workflow_runtime.runtime.in_process import Backend as OpenBackend
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.intake.signals import check_event
from workflow_runtime.services.views.charts import listens


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
         or input               130  stopped by Ctrl-C (with --db it can be resumed)
      2  wrong usage
      3  failed
      4  cancelled
    """
    options = RunOptions(
        file, tuple(others or ()), input, mocks, definitions, backend.value, db, resume, skip_time, timeout, verbose,
        tuple(event or ()), tuple(allow_http or ()),
    )  # fmt: skip
    return _carry_out(Output(json=json), options)


SKIPPED_MS_MAX = 366 * 24 * 3600 * 1000  # of virtual time: what goes on for a year waits for the outside
EXIT_CODES = {"completed": ExitCode.OK, "failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}


class RunOptions(msgspec.Struct, frozen=True):
    """The arguments of ``awr run``. ``timeout``: real seconds, None for no limit. ``events``: see `stepping`.
    ``allow_http``: as in `local_reach`.
    """

    file: Path | None
    others: tuple[Path, ...] = ()
    input: str | None = None
    mocks: Path | None = None
    definitions: Path | None = None
    backend: str = "embedded"
    db: Path | None = None
    resume: str | None = None
    skip_time: bool = False
    timeout: float | None = None
    verbose: bool = False
    events: tuple[str, ...] = ()
    allow_http: tuple[str, ...] = ()


def _carry_out(out: Output, options: RunOptions) -> ExitCode:
    steps = parse_steps(options.events)
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
            execution_id = _start(out, runtime, options, steps, input)
        out.note([("resumed " if options.resume is not None else "started ", "green"), execution_id])
        return _Run(out, options, runtime, execution_id, steps).to_the_end()


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


def _start(out: Output, runtime: LocalRuntime, options: RunOptions, steps: Sequence[Step], input: Any) -> str:
    """Publish all files and start the first. Events that nothing listens to are reported before."""
    assert options.file is not None
    definitions = options.definitions or definitions_directory(options.file)
    first = publish_to_run(out, runtime, [options.file, *options.others], options.mocks, definitions)
    plan = runtime.services.catalog.plan(first)
    for step in steps:
        if isinstance(step, EventStep):
            check_event(plan, step.name, step.data)
    return runtime.services.starter.start(first.workflow_id, input)


class _Run:
    """One execution, from here to its end, or to what keeps it from its end."""

    def __init__(
        self, out: Output, options: RunOptions, runtime: LocalRuntime, execution_id: str, steps: Sequence[Step]
    ) -> None:
        self._out = out
        self._options = options
        self._runtime = runtime
        self._id = execution_id
        self._steps = steps
        self._limit = 0
        self._repetition = Repetition(runtime, execution_id)
        self._listens = False

    def to_the_end(self) -> ExitCode:
        services = self._runtime.services
        document = services.documents.document(self._id)
        plan = services.catalog.plan(services.catalog.version(document["workflow_id"], document["workflow_version"]))
        self._listens = listens(plan)
        watch = LocalWatch(services.stores, self._id)
        watch.look()  # what ended before a resumption is not news
        ids = [block.prefix + node.id for block in plan.blocks for node in block.nodes if not node.hidden]
        started = epoch_ms(document["started_at"])
        progress = Progress(self._out, watch, ids, services.ports.clock.now, started, self._where_all_is())
        try:
            with progress.shown():
                status = asyncio.run(self._drive(progress))
            progress.look()
        except KeyboardInterrupt:
            return self._stopped("interrupted", ExitCode.INTERRUPTED)
        if status is None:
            return self._stopped(f"timed out after {self._options.timeout:g} s", ExitCode.TIMED_OUT)
        return self._ended(status)

    async def _drive(self, progress: Progress) -> str | None:
        """The execution's status when nothing more happens; None: the time was up first."""
        watching = asyncio.ensure_future(progress.watch())
        limit = asyncio.timeout(self._options.timeout)
        try:
            async with limit:
                return await self._play(progress)
        except TimeoutError:
            if limit.expired():
                return None
            raise
        finally:
            watching.cancel()

    async def _play(self, progress: Progress) -> str:
        """Take the steps, then run on; with time that only moves when told to, and no more steps, it stands still."""
        if self._steps or self._listens:
            stepper = Stepper(self._out, self._runtime, self._id, progress, self._repetition.seen)
            status = await stepper.take(self._steps)
            if self._repetition.endless or (not self._options.skip_time and moves_time(self._steps)):
                return status
            if status not in EXIT_CODES and not self._options.skip_time:
                self._say_what_time_brings()
        if not self._options.skip_time:
            return await self._runtime.run_until_ended(self._id)
        self._limit = self._runtime.backend.ports.clock.now() + SKIPPED_MS_MAX
        return await self._runtime.settle(self._id, [(self._limit, lambda: None)], self._repetition.seen)

    def _where_all_is(self) -> str:
        database = self._options.db
        if database is None:
            return "--db FILE keeps them for awr history"
        return shlex.join(["awr", "history", self._id, "--db", str(database)])

    def _say_what_time_brings(self) -> None:
        lines = list(timer_lines(self._runtime.services.documents.document(self._id)))
        for line in lines:
            self._out.note(line)
        if lines:
            self._out.note([("hint: ", "cyan"), "--skip-time lets the time pass at once, --event @24h a part of it"])

    def _ended(self, status: str) -> ExitCode:
        document = self._runtime.services.documents.document(self._id)
        letters = self._runtime.services.documents.dead_letters(self._id)
        show_summary(self._out, document)
        self._out.document(document)
        for line in dead_letter_lines(letters):
            self._out.note(line)
        if status in EXIT_CODES:
            if status == "failed":
                self._out.note([("hint: ", "cyan"), self._how_to_look_further()])
            return EXIT_CODES[status]
        self._out.note()
        why = "nothing more can happen by itself"
        if document["timers"]:
            why = "time does not move on without --skip-time"
        if self._repetition.timers:
            why = "nothing is left but timers that repeat"
        elif self._repetition.endless:
            why = f"it never ends by itself: its own timers and events moved it on {self._repetition.endless} times"
        elif document["timers"] and self._limit:
            why = "a year has passed, and timers go on"
        self._out.note([("waiting: ", "bold cyan"), why])
        for line in (
            *repeat_lines(self._repetition.timers),
            *waiting_lines(document),
            *event_lines(document),
            *timer_lines(document),
        ):
            self._out.note(line)
        self._say_how_to_resume()
        return ExitCode.WAITING

    def _stopped(self, how: str, code: ExitCode) -> ExitCode:
        """The execution is still under way; with a database file it can go on later."""
        document = self._runtime.services.documents.document(self._id)
        open_nodes = [
            id for id, entry in document["node_executions"].items() if entry["status"] in ("ready", "running")
        ]
        self._out.document(document)
        running = f" while {', '.join(open_nodes[:5])}{' …' if len(open_nodes) > 5 else ''} ran" if open_nodes else ""
        self._out.note([(f"{how}", "bold yellow"), running])
        self._say_how_to_resume()
        return code

    def _say_how_to_resume(self) -> None:
        if self._options.db is not None:
            self._out.note([("resume: ", "cyan"), self._resume_command()])
        elif self._options.backend == "embedded":
            self._out.note([("hint: ", "cyan"), "it was kept in memory only; with --db FILE a run can be resumed"])

    def _resume_command(self) -> str:
        options = self._options
        words = [
            "awr",
            "run",
            *([str(options.file)] if options.file else []),
            "--resume",
            self._id,
            "--db",
            str(options.db),
        ]
        for option, value in (("--mocks", options.mocks), ("--definitions", options.definitions)):
            words += [option, str(value)] if value else []
        for host in options.allow_http:
            words += ["--allow-http", host]
        return shlex.join([*words, *(["--skip-time"] if options.skip_time else [])])

    def _how_to_look_further(self) -> str:
        more = "" if self._out.json else ", --json the whole execution document"
        return f"--verbose shows tracebacks and the log of every attempt{more}"
