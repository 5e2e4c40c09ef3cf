"""One execution of `awr run`, from here to its end, or to what keeps it from its end."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import typer

from workflow_runtime.frontends.cli.charts import event_lines, timer_lines
from workflow_runtime.frontends.cli.deciding import Decisions
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.progress import LocalWatch, Progress, epoch_ms
from workflow_runtime.frontends.cli.repeating import Repetition, repeat_lines
from workflow_runtime.frontends.cli.stepping import Step, Stepper, moves_time
from workflow_runtime.frontends.cli.stop_signals import StopSignals
from workflow_runtime.frontends.cli.summary import dead_letter_lines, show_summary, waiting_lines
from workflow_runtime.language.json_values import Json
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.views.charts import listens

SKIPPED_MS_MAX = 366 * 24 * 3600 * 1000  # of virtual time: what goes on for a year waits for the outside
EXIT_CODES = {"completed": ExitCode.OK, "failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}


class RunOptions(msgspec.Struct, frozen=True):
    """The arguments of ``awr run``. ``timeout``: real seconds, None for no limit. ``events``: see `stepping`.
    ``allow_http``: as in `local_reach`. ``approvals``, ``rejections``: see `deciding`.
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
    approvals: tuple[str, ...] = ()
    rejections: tuple[str, ...] = ()


class RunToEnd:
    """One execution, from here to its end, or to what keeps it from its end."""

    def __init__(
        self,
        out: Output,
        options: RunOptions,
        runtime: LocalRuntime,
        execution_id: str,
        steps: Sequence[Step],
        people: Decisions,
    ) -> None:
        self._out = out
        self._options = options
        self._runtime = runtime
        self._id = execution_id
        self._steps = steps
        self._people = people
        self._limit = 0
        self._repetition = Repetition(runtime, execution_id)
        self._listens = False
        self._signals = StopSignals()

    def to_the_end(self) -> ExitCode:
        services = self._runtime.services
        document = services.documents.document(self._id)
        plan = services.catalog.plan(services.catalog.version(document["workflow_id"], document["workflow_version"]))
        self._listens = listens(plan)
        watch = LocalWatch(services.viewed_stores, self._id)
        watch.look()  # what ended before a resumption is not news
        ids = [block.prefix + node.id for block in plan.blocks for node in block.nodes if not node.hidden]
        started = epoch_ms(document["started_at"])
        progress = Progress(self._out, watch, ids, services.ports.clock.now, started, self._where_all_is())
        try:
            with self._signals.caught():
                status = self._until_it_stops(progress)
        except (KeyboardInterrupt, typer.Abort):
            return self._stopped_by(self._signals.received)
        except (asyncio.CancelledError, OSError):  # the terminal may be gone
            if self._signals.received is None:
                raise
            return self._stopped_by(self._signals.received)
        if status is None:
            return self._stopped(f"timed out after {self._options.timeout:g} s", ExitCode.TIMED_OUT)
        return self._ended(status)

    def _until_it_stops(self, progress: Progress) -> str | None:
        """As `_drive`, with people asked in between."""
        while True:
            with progress.shown():
                status = asyncio.run(self._drive(progress))
            progress.look()
            if status is None or not self._people.must_ask:
                return status
            self._people.ask()

    async def _drive(self, progress: Progress) -> str | None:
        """The execution's status when nothing more happens; None: the time was up first."""
        watching = asyncio.ensure_future(progress.watch())
        limit = asyncio.timeout(self._options.timeout)
        self._signals.task = asyncio.current_task()
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
            steps, self._steps = self._steps, ()
            status = await stepper.take(steps)
            while self._people.decide_given():
                status = await stepper.take(())
            if self._repetition.endless or (not self._options.skip_time and moves_time(steps)) or self._people.must_ask:
                return status
            if status not in EXIT_CODES and not self._options.skip_time:
                self._say_what_time_brings()
        while True:
            status = await self._run_on()
            if not self._people.decide_given():
                return status

    async def _run_on(self) -> str:
        """Until nothing more happens by itself, or somebody is asked who answers here."""
        asked = self._people.are_asked if self._listens else lambda: False
        if not self._options.skip_time:
            return await self._runtime.run_until_ended(self._id, asked)
        self._limit = self._runtime.backend.ports.clock.now() + SKIPPED_MS_MAX
        moments = [(self._limit, lambda: None)]
        return await self._runtime.settle(self._id, moments, lambda: self._repetition.seen() or asked())

    def _where_all_is(self) -> str:
        database = self._options.db
        if database is None:
            return "--db FILE keeps them for awr history"
        return shlex.join(["awr", "history", self._id, "--db", str(database)])

    def _say_what_time_brings(self) -> None:
        lines = list(timer_lines(self._runtime.services.documents.document(self._id)))
        if not lines:  # it ends at once, with the rest of what is to be said
            return
        for line in (*lines, *self._people.hints()):
            self._out.note(line)
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
            *self._people.hints(),
        ):
            self._out.note(line)
        if document["suspension"] and self._options.db is not None:
            self._out.note([("hint: ", "cyan"), self._who_goes_on(document["suspension"])])
        else:
            self._say_how_to_resume()
        return ExitCode.WAITING

    def _who_goes_on(self, suspension: Mapping[str, Json]) -> str:
        """Of a suspended execution, which goes on only when somebody asks for it."""
        served = shlex.join(["awr", "dev", "--db", str(self._options.db)])
        asked = "awr retry, awr skip or awr resume" if suspension["escalated"] else "awr resume"
        return f"{asked} takes it up, through an API: {served}"

    def _stopped_by(self, received: signal.Signals | None) -> ExitCode:
        """By a signal; None: Ctrl-C."""
        if received is None:
            return self._stopped("interrupted", ExitCode.INTERRUPTED)
        code = ExitCode(128 + received)
        with suppress(OSError):  # nobody may be there any more to be told
            self._stopped(f"stopped by {received.name}", code)
        return code

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
