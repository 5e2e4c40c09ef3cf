"""Requests about many executions of a workflow, for the commands that ask the same of one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
import typer

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.frontends.client.engine import added
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import counted

SHOWN_MAX = 10

ExecutionOrNone = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The execution; or with --workflow, many.", show_default=False)
]
OfWorkflow = Annotated[
    str | None, typer.Option("--workflow", metavar="ID", help="All executions of this workflow that it applies to.")
]
OfStatuses = Annotated[
    list[ExecutionStatus] | None, typer.Option("--status", help="With --workflow: only those in it (repeatable).")
]
OlderThan = Annotated[
    str, typer.Option("--older-than", metavar="DURATION", help="With --workflow: only those started so long ago.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --workflow: only say which these are.")]


class Many(msgspec.Struct, frozen=True):
    """Which executions of a workflow are meant."""

    workflow_id: str
    statuses: Sequence[str]
    older_than: str
    dry_run: bool


def many_of(
    execution: str | None, workflow: str | None, statuses: Sequence[str] | None, older_than: str, dry_run: bool
) -> Many | None:
    """The executions that the options mean; None: the one that is named. Raises `CliError` (usage)."""
    if (execution is None) == (workflow is None):
        raise usage_error("name one execution, or many by --workflow")
    if workflow is None:
        if statuses or older_than or dry_run:
            raise usage_error("--status, --older-than and --dry-run choose among many: of which --workflow?")
        return None
    return Many(workflow, [str(status) for status in statuses or ()], older_than, dry_run)


def ask_many(
    out: Output,
    server: Server,
    operation: str,
    many: Many,
    reason: str,
    key: str | None,
    said: Mapping[str, Json],
) -> int:
    """Ask page by page, and show what came of it. What was not asked when it is interrupted can be asked under the same
    key."""
    key = key or uuid.uuid4().hex
    selection: dict[str, Json] = {
        "status": list(many.statuses), "older_than": many.older_than, "dry_run": many.dry_run
    }  # fmt: skip
    total: Document = {}

    async def send() -> None:
        nonlocal total
        cursor: str | None = None
        async with api(server, changes=True) as connection:
            while not total or cursor is not None:
                page = await connection.control_many(
                    operation, many.workflow_id, selection, reason, key=key, said=said, cursor=cursor
                )
                cursor = page.pop("next_cursor")
                total = added(total, page)

    try:
        asyncio.run(send())
    except BaseException:
        if total and not many.dry_run:
            out.note(
                [("hint: ", "cyan"), f"{len(total['execution_ids'])} were asked; --key {key} repeats none of them"]
            )
        raise
    out.document(total)
    for line in _lines(operation, many, total):
        out.line(line)
    return ExitCode.INVALID if total["refused"] else ExitCode.OK


def _lines(operation: str, many: Many, total: Document) -> Iterator[Line]:
    count = len(total["execution_ids"])
    if many.dry_run:
        yield [(f"would {operation}: ", "yellow"), f"{counted(count, 'execution')} of {many.workflow_id}"]
        yield from (f"  {id}" for id in total["execution_ids"][:SHOWN_MAX])
        if count > SHOWN_MAX:
            yield f"  … and {count - SHOWN_MAX:,} more; --json has all"
        return
    yield [(f"{operation}: ", "yellow"), f"{total['changed']:,} of {counted(count, 'execution')} of {many.workflow_id}"]
    if total["unchanged"]:
        yield [("not needed: ", "dim"), f"{total['unchanged']:,}"]
    for refused in total["refused"]:
        yield [("refused: ", "red"), f"{refused['count']:,}: {refused['reason']}"]
        yield from (f"  {id}" for id in refused["execution_ids"][:SHOWN_MAX])
