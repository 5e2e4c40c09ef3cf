"""`awr why`: what an execution waits for, and what would move it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import Document, ask
from workflow_runtime.frontends.cli.charts import event_lines, state_lines, timer_lines
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import AsJson, Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output, Span
from workflow_runtime.frontends.cli.progress import epoch_ms, seconds_text
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.cli.summary import title
from workflow_runtime.frontends.client.engine import WAITS_DEFAULT
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import columns, counted, shorten, visible

OF_NODES = ("wait", "timeout", "retry")  # timers that stand beside their nodes
PATH_COLUMNS_MAX = 40
TEXT_COLUMNS_MAX = 200


def why(
    execution: ExecutionId,
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="Only this node, by its path, and what it waits for.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Show at most this many nodes.")
    ] = WAITS_DEFAULT,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show what an execution waits for: each node that has not ended, since when, until when, and what would move it;
    the states it is in and what they listen to.

    \b
      awr why ex-01a2…
      awr why ex-01a2… review/draft

    Exit codes: 0 fine, 1 there is no such execution or node, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    document = ask(server, lambda api: api.why(execution, node, limit))
    out.document(document)
    for line in _lines(document, round(time.time() * 1000), whole=node is None):
        out.line(line)
    return ExitCode.OK


def _lines(document: Document, now: int, *, whole: bool) -> Iterator[Line]:
    """``now``: epoch ms. ``whole``: all open nodes were asked for."""
    yield title(document)
    waits = document["waits"]
    others = {
        **document,
        "variables": None,
        "available_events": [event for event in document.get("available_events", ()) if event["machine"] is not None],
        "timers": [timer for timer in document.get("timers", ()) if timer["kind"] not in OF_NODES],
    }
    parts = [list(state_lines(others)), [*event_lines(others), *timer_lines(others)]]
    if waits:
        yield ""
    width = min(max((columns(visible(_name(waiting))) for waiting in waits), default=0), PATH_COLUMNS_MAX)
    for waiting in waits:
        yield from _waiting(waiting, width, now)
    hidden = document["open_nodes"] - sum(waiting["path"] != "" for waiting in waits)
    if whole and hidden > 0:
        yield [(f"… and {counted(hidden, 'more node')}; --limit shows more", "dim")]
    for part in parts:
        if part:
            yield ""
        yield from part


def _name(waiting: Mapping[str, Json]) -> str:
    return str(waiting["path"] or "the execution")


def _waiting(waiting: Mapping[str, Json], width: int, now: int) -> Iterator[Line]:
    """``审批  waits for event  since …``, and below it what would move it."""
    name = shorten(_name(waiting), PATH_COLUMNS_MAX)
    head: list[Span | str] = [(name, "bold"), " " * (width - columns(visible(name))), "  "]
    cause = waiting["waiting_on"]
    if cause == "dependency":
        more = f" and {waiting['more']:,} more" if waiting["more"] else ""
        yield [*head, ("waits for ", "cyan"), shorten(", ".join(waiting["on"]) + more, TEXT_COLUMNS_MAX)]
        return
    what = (f"waits: {cause}", "cyan") if cause else (waiting["status"], "green")
    yield [*head, what, (_times(waiting, now), "dim")]
    yield [" " * (width + 2), ("moved by ", "dim"), shorten(waiting["moves"], TEXT_COLUMNS_MAX)]


def _times(waiting: Mapping[str, Json], now: int) -> str:
    """Since when and until when, as times and as durations."""
    text = ""
    if since := epoch_ms(waiting["since"]):
        text += f"  since {waiting['since'][:19]}Z"
        text += f" ({seconds_text((now - since) / 1000)})" if since <= now else ""
    if until := epoch_ms(waiting["until"]):
        text += f"  until {waiting['until'][:19]}Z"
        text += f" (in {seconds_text((until - now) / 1000)})" if until > now else ""
    return text
