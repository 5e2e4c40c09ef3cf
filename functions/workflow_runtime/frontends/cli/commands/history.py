"""`awr history`: what happened in an execution, commit by commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.charts import failure_lines, transition_spans
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import AsJson, Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output, Span
from workflow_runtime.frontends.cli.progress import epoch_ms
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import shorten

INDENT = " " * 18  # of a history's lines, below the time
WORD_COLUMNS_MAX = 200  # of an error or a logged text
NAMING = (
    "name",
    "workflow_id",
    "path",
    "detail_type",
    "status",
    "timer",
    "due",
    "to",
    "key",
    "by",
    "reason",
    "message",
)


def history(
    execution: ExecutionId,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show what happened in an execution, commit by commit: events that came in, transitions, commands that went out.

    Exit codes: 0 fine, 1 there is no such execution, 2 wrong usage, 6 the API cannot be reached.
    """
    asyncio.run(_history(Output(json=json), Server(url, token, profile, region, db), execution))
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
        for line in failure_lines(transition):
            yield [INDENT, *line]
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
    words = [shorten(str(item[name]), WORD_COLUMNS_MAX) for name in NAMING if name in item]
    if item.get("attempt", 1) != 1:
        words.append(f"attempt {item['attempt']}")
    error = item.get("error")
    if isinstance(error, Mapping):
        words.append(shorten(f"{error.get('type')}: {error.get('message')}", WORD_COLUMNS_MAX))
    return [f" {' '.join(words)}"] if words else []
