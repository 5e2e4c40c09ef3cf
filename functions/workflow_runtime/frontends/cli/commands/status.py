"""`awr status`: an execution elsewhere, shown as it is or watched to its end (`awr start --wait` watches, too)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from workflow_runtime.backends.clock import RealClock
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.cli.api import Api, Document, api
from workflow_runtime.frontends.cli.charts import event_lines, timer_lines
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.options import AsJson, Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.progress import Change, Progress, epoch_ms, in_order
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.cli.summary import node_entries, show_summary, waits_lines
from workflow_runtime.frontends.cli.writing import Reader, Writing
from workflow_runtime.language.json_values import Json

LOOK_SECONDS_MIN = 0.1
LOOK_SECONDS_MAX = 2.0
LOOK_GROWTH = 1.5
ENDS = {"failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}


async def execution_document(connection: Api, execution_id: str) -> Document:
    document = await connection.document(execution_id)
    if not isinstance(document, dict) or "status" not in document:
        raise CliError("unexpected_answer", "the answer is not an execution", "--url or AWR_URL says where the API is")
    return document


def shown(out: Output, document: Document) -> ExitCode:
    """Show the execution; the exit code that its status has for who waited for its end."""
    show_summary(out, document)
    lines = [*waits_lines(document), *event_lines(document), *timer_lines(document)]
    if lines:
        out.line()
    for line in lines:
        out.line(line)
    out.document(document)
    return ENDS.get(document["status"], ExitCode.OK)


async def followed(
    out: Output, connection: Api, execution_id: str, seconds: float | None, *, from_start: bool
) -> Document:
    """The document once the execution has ended, or after ``seconds``; meanwhile, what happens is shown.

    ``from_start``: what happened before the first look is news, too.
    """
    end = time.monotonic() + seconds if seconds is not None else math.inf
    watch = DocumentWatch(await execution_document(connection, execution_id))
    document = watch.document
    if not from_start:
        watch.look()
    ids, started = list(node_entries(document)), epoch_ms(document["started_at"])
    progress = Progress(out, watch, ids, RealClock().now, started, f"awr history {execution_id}")
    pause, reader = LOOK_SECONDS_MIN, Reader()
    with progress.shown():
        while True:
            progress.look()
            left = end - time.monotonic()
            if ExecutionStatus(document["status"]).terminal or left <= 0:
                return document
            await asyncio.sleep(min(pause, left))
            await connection.read_along(execution_id, reader, watch.writing)
            before, document = document, await execution_document(connection, execution_id)
            has_news = document != before or bool(watch.writing.texts)
            pause = LOOK_SECONDS_MIN if has_news else min(pause * LOOK_GROWTH, LOOK_SECONDS_MAX)
            watch.document = document


class DocumentWatch:
    """A `progress.Watch` of documents that are given to it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._version = 0
        self.entries: dict[str, Mapping[str, Json]] = {}
        self.writing = Writing()

    def look(self) -> list[Change]:
        changed = {id: entry for id, entry in node_entries(self.document).items() if self._is_news(id, entry)}
        self.entries.update(changed)
        transitions = [step for step in self.document.get("transitions", ()) if step["version"] > self._version]
        self._version = max((step["version"] for step in transitions), default=self._version)
        return in_order(changed, transitions, {})

    def _is_news(self, id: str, entry: Mapping[str, Json]) -> bool:
        known = self.entries.get(id)
        return bool(entry["status"] != (known["status"] if known is not None else "waiting"))


def status(
    execution: ExecutionId,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show what happens, until it has ended.")] = False,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show an execution: its nodes, states and variables, the events it listens to, its output or error.

    With --json: the execution document.

    \b
    Exit codes:
      0  shown; with --watch: completed    4    cancelled (--watch)
      1  there is no such execution        6    the API cannot be reached
      2  wrong usage                       130  stopped by Ctrl-C; the execution goes on
      3  failed (--watch)
    """
    server = Server(url, token, profile, region, db)
    return asyncio.run(_status(Output(json=json), server, execution, watch=watch))


async def _status(out: Output, server: Server, execution_id: str, *, watch: bool) -> ExitCode:
    async with api(server) as connection:
        if watch:
            return shown(out, await followed(out, connection, execution_id, None, from_start=False))
        shown(out, await execution_document(connection, execution_id))
        return ExitCode.OK
