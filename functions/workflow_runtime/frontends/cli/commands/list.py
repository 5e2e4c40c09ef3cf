"""`awr list`: the published workflows, or executions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import error_line
from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.commands.freeze import frozen_lines
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, Database, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output, Span
from workflow_runtime.frontends.cli.progress import duration
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.cli.summary import OPEN_STYLE, STATUS_STYLES
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.texts import columns, shorten, visible
from workflow_runtime.services.freeze.scopes import ALL, WORKFLOW, scopes_of_start

LISTED_DEFAULT = 50
STATUS_COLUMNS = max(map(len, ExecutionStatus))
TIME_COLUMNS = 9
TEXT_COLUMNS_MIN = 20


def list_(
    workflow: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW]", help="List its executions. Without: the workflows.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List the executions of all workflows.")] = False,
    status: Annotated[ExecutionStatus | None, typer.Option("--status", help="Only executions in this status.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Only executions started since, say 2h or 7d.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most this many.")] = LISTED_DEFAULT,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """List the published workflows, or executions: of one workflow, or of all with --all, --status or --since; the
    newest first.

    Exit codes: 0 fine, 1 there is no such workflow, 2 wrong usage, 6 the API cannot be reached.
    """
    if every and workflow is not None:
        raise usage_error(f"--all lists the executions of all workflows, not only those of {workflow!r}: take one away")
    out, server = Output(json=json), Server(url, token, profile, region, db)
    started_since = time_before(since) if since is not None else None
    if every or any(given is not None for given in (workflow, status, since)):
        asyncio.run(_executions(out, server, workflow, status, started_since, limit))
    else:
        asyncio.run(_workflows(out, server, limit))
    return ExitCode.OK


async def _workflows(out: Output, server: Server, limit: int) -> None:
    async with api(server) as connection:
        found, more = await connection.workflows(limit)
        freezes = await connection.frozen()
    frozen = {switch["scope"] for switch in freezes if not switch["thawed_at"]}
    out.document({"workflows": found})
    width = max((columns(visible(item["workflow_id"])) for item in found), default=0)
    for item in found:
        name = visible(item["workflow_id"])
        space = " " * (width - columns(name))
        mark = ("  frozen", "yellow") if WORKFLOW + item["workflow_id"] in frozen else ("", "")
        out.line([(name, "bold"), f"{space}  version {item['version']:<4}  ", (item["created_at"], "dim"), mark])
    for line in frozen_lines(freezes, [ALL]):
        out.note(line)
    _say_if_there_is(out, "workflows", len(found), more)


def time_before(since: str) -> str:
    """Now minus a duration, as the API takes it."""
    try:
        return (datetime.now(UTC) - timedelta(seconds=parse_duration(since))).isoformat()
    except (ValueError, OverflowError) as error:
        raise usage_error(f"--since: {error}") from None


async def _executions(
    out: Output, server: Server, workflow_id: str | None, status: str | None, since: str | None, limit: int
) -> None:
    async with api(server) as connection:
        found, more = await connection.executions(workflow_id, status, since, limit)
        if not found and workflow_id is not None:
            await connection.workflow(workflow_id)  # raises if there is no such workflow: an empty list would hide that
        freezes = await connection.frozen()
    out.document({"executions": found})
    width = max((columns(visible(item["workflow_id"])) for item in found), default=0) if workflow_id is None else 0
    for item in found:
        out.line(_execution(item, out.columns, width))
    for line in frozen_lines(freezes, scopes_of_start(workflow_id) if workflow_id is not None else [ALL]):
        out.note(line)
    _say_if_there_is(out, "executions", len(found), more)


def _execution(item: Document, room: int, workflow_columns: int) -> Line:
    """``workflow_columns``: how wide the workflows' ids are; 0: they are not shown."""
    status = item["status"]
    head = f"{item['execution_id']}  "
    if workflow_columns:
        name = visible(item["workflow_id"])
        head += f"{name}{' ' * (workflow_columns - columns(name))}  "
    rest = f"  {item['started_at']}{duration(item):>{TIME_COLUMNS}}"
    spans: list[Span | str] = [
        head,
        (f"{status:<{STATUS_COLUMNS}}", STATUS_STYLES.get(status, OPEN_STYLE)),
        (rest, "dim"),
    ]
    if item["error"]:
        left = max(room - columns(head) - STATUS_COLUMNS - len(rest) - 3, TEXT_COLUMNS_MIN)
        spans += ["  ", (shorten(error_line(item["error"]), left), "red")]
    return spans


def _say_if_there_is(out: Output, what: str, count: int, more: bool) -> None:
    """What a list leaves open."""
    if not count:
        out.note(f"no {what}")
    elif more:
        out.note([("hint: ", "cyan"), f"these are the newest {count} {what}; --limit shows more"])
