"""The commands list and history: what an API knows of workflows, of executions, and of how one went."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.charts import transition_spans
from workflow_runtime.frontends.cli.output import ExitCode, Line, Output, Span, usage_error
from workflow_runtime.frontends.cli.progress import duration, epoch_ms
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.frontends.cli.summary import OPEN_STYLE, STATUS_STYLES
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import columns, shorten, visible

STATUS_COLUMNS = max(map(len, ExecutionStatus))
TIME_COLUMNS = 9
TEXT_COLUMNS_MIN = 20
INDENT = " " * 18  # of a history's lines, below the time
NAMING = ("name", "workflow_id", "path", "detail_type", "status", "timer", "due", "to", "key", "reason", "message")


def show(out: Output, server: Server, workflow_id: str | None, status: str | None, limit: int) -> ExitCode:
    """Carry ``awr list`` out; raises what `output.cli_error` knows."""
    if workflow_id is None and status is not None:
        raise usage_error("--status is of executions: of which workflow? awr list WORKFLOW --status …")
    asyncio.run(
        _workflows(out, server, limit) if workflow_id is None else _executions(out, server, workflow_id, status, limit)
    )
    return ExitCode.OK


async def _workflows(out: Output, server: Server, limit: int) -> None:
    async with api(server) as connection:
        found, more = await connection.workflows(limit)
    out.document({"workflows": found})
    width = max((columns(visible(item["workflow_id"])) for item in found), default=0)
    for item in found:
        name = visible(item["workflow_id"])
        space = " " * (width - columns(name))
        out.line([(name, "bold"), f"{space}  version {item['version']:<4}  ", (item["created_at"], "dim")])
    _say_if_there_is(out, "workflows", len(found), more)


async def _executions(out: Output, server: Server, workflow_id: str, status: str | None, limit: int) -> None:
    async with api(server) as connection:
        found, more = await connection.executions(workflow_id, status, limit)
        if not found:
            await connection.workflow(workflow_id)  # raises: none of a workflow that there is not is no answer
    out.document({"executions": found})
    for item in found:
        out.line(_execution(item, out.columns))
    _say_if_there_is(out, "executions", len(found), more)


def _execution(item: Document, room: int) -> Line:
    status = item["status"]
    head = f"{item['execution_id']}  "
    rest = f"  {item['started_at']}{duration(item):>{TIME_COLUMNS}}"
    spans: list[Span | str] = [
        head,
        (f"{status:<{STATUS_COLUMNS}}", STATUS_STYLES.get(status, OPEN_STYLE)),
        (rest, "dim"),
    ]
    if item["error"]:
        left = max(room - len(head) - STATUS_COLUMNS - len(rest) - 3, TEXT_COLUMNS_MIN)
        spans += ["  ", (shorten(f"{item['error']['type']}: {item['error']['message']}", left), "red")]
    return spans


def _say_if_there_is(out: Output, what: str, count: int, more: bool) -> None:
    """What a list leaves open."""
    if not count:
        out.note(f"no {what}")
    elif more:
        out.note([("hint: ", "cyan"), f"these are the newest {count} {what}; --limit shows more"])


def history(out: Output, server: Server, execution_id: str) -> ExitCode:
    """Carry ``awr history`` out; raises what `output.cli_error` knows."""
    asyncio.run(_history(out, server, execution_id))
    return ExitCode.OK


async def _history(out: Output, server: Server, execution_id: str) -> None:
    entries: list[Document] = []
    started = 0
    async with api(server) as connection:
        async for entry in connection.history(execution_id):
            started = started or epoch_ms(entry["at"])
            for line in _commit(entry, started):
                out.line(line)
            if out.json:
                entries.append(entry)
    out.document({"execution_id": execution_id, "entries": entries})


def _commit(entry: Document, started: int) -> Iterator[Line]:
    """A commit's lines: what came in, what went out, what was not taken and why."""
    since = f"{(epoch_ms(entry['at']) - started) / 1000:.2f} s"
    lead = f"{entry['version']:>5}{since:>11}  "
    for event in entry["events"]:
        yield [(lead, "dim"), (event["event"], "bold"), *_which(event)]
        lead = INDENT
    for transition in entry["transitions"]:
        yield [(lead, "dim"), *transition_spans(transition)]
        lead = INDENT
    for command in entry["commands"]:
        yield [(lead, "dim"), ("→ ", "cyan"), command["command"], *_which(command)]
        lead = INDENT
    told = {transition["reason"] for transition in entry["transitions"]}
    for word in ("ignored", "refused"):
        for item in entry[word]:
            if item["reason"] in told:
                continue  # the transition says it
            yield [(lead, "dim"), (f"{word}: ", "yellow"), f"{item['event']}: {item['reason']}"]
            lead = INDENT


def _which(item: Mapping[str, Json]) -> Sequence[Span | str]:
    """What tells this event or command from others of its name."""
    words = [str(item[name]) for name in NAMING if name in item]
    if item.get("attempt", 1) != 1:
        words.append(f"attempt {item['attempt']}")
    error = item.get("error")
    if isinstance(error, Mapping):
        words.append(f"{error.get('type')}: {error.get('message')}")
    return [f" {' '.join(words)}"] if words else []
