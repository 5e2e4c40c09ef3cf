"""`awr trace`: an execution as an OpenTelemetry trace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from workflow_runtime.backends.otlp import PATH, post
from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, Database, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.language.texts import columns, counted, visible

BAR_COLUMNS = 40
NANOSECONDS = 1_000_000
ERROR = 2


def trace(
    execution: ExecutionId,
    otlp: Annotated[
        str | None, typer.Option("--otlp", metavar="URL", help="Send it to this collector (http://localhost:4318).")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-o", metavar="FILE", dir_okay=False, help="Write it here, in OTLP's JSON."),
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Tell what models, tools and nodes said, too, without secrets.")
    ] = False,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show an execution as a trace, or send it to an OpenTelemetry collector.

    \b
      awr trace ex-01a2…
      awr trace ex-01a2… --otlp http://localhost:4318

    The spans are made of what is recorded: the execution, its node runs, and model requests and tool calls of agents.
    They have the same ids whenever this is done, so that sending a trace twice makes one. No span holds content, unless
    --content asks for it.

    Exit codes: 0 fine, 1 there is no such execution, 2 wrong usage, 6 the API or the collector cannot be reached.
    """
    if otlp is not None and not otlp.startswith(("http://", "https://")):
        raise usage_error(f"--otlp takes a URL with http:// or https://, not {otlp}")
    parts = asyncio.run(_parts(Server(url, token, profile, region, db), execution, content=content))
    spans = [span for part in parts for span in _spans(part)]
    whole = {"resourceSpans": [resource for part in parts for resource in part["resourceSpans"]]}
    out = Output(json=json)
    if file is not None:
        file.write_bytes(msgspec.json.encode(whole) + b"\n")
    for part in parts if otlp is not None else ():
        _send(otlp or "", part)
    out.document(whole)
    if file is None and otlp is None:
        for line in _lines(spans):
            out.line(line)
    else:
        what = f"{counted(len(spans), 'span')} of trace {spans[0]['traceId']}"
        out.line(f"{what} to {' and '.join(str(place) for place in (file, otlp) if place is not None)}")
    return ExitCode.OK


async def _parts(server: Server, execution_id: str, *, content: bool) -> list[dict[str, Any]]:
    async with api(server) as connection:
        return [part async for part in connection.trace(execution_id, content=content)]


def _send(collector: str, part: dict[str, Any]) -> None:
    """``collector``: its base, or the whole path of its endpoint for traces. Raises `CliError`."""
    url = collector if collector.endswith(PATH) else collector.rstrip("/") + PATH
    try:
        post(url, msgspec.json.encode(part), {"content-type": "application/json"})
    except OSError as error:
        message = f"{url} does not take the trace: {error}"
        raise CliError("unavailable", message, exit_code=ExitCode.UNREACHABLE) from error


def _spans(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in part["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            yield from scope["spans"]


def _lines(spans: Sequence[dict[str, Any]]) -> Iterator[Line]:
    """A line per span, below the one it belongs to, in the order in which they began."""
    begin = min(int(span["startTimeUnixNano"]) for span in spans)
    length = max(max(int(span["endTimeUnixNano"]) for span in spans) - begin, 1)
    placed = list(_below(_children(spans), "", 0))
    names = ["  " * depth + visible(span["name"]) for depth, span in placed]
    width = max(map(columns, names))
    for name, (_, span) in zip(names, placed, strict=True):
        start, end = int(span["startTimeUnixNano"]) - begin, int(span["endTimeUnixNano"]) - begin
        bar = " " * (start * BAR_COLUMNS // length) + "━" * max(1, (end - start) * BAR_COLUMNS // length)
        style = "red" if span["status"].get("code") == ERROR else ""
        padding = " " * (width - columns(name))
        yield [(name, style), f"{padding} {(end - start) // NANOSECONDS:>9,} ms  ", (bar, "dim")]


def _children(spans: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Spans by the one they belong to; by "" if that is not there (yet)."""
    known = {span["spanId"] for span in spans}
    found: dict[str, list[dict[str, Any]]] = {}
    for span in sorted(spans, key=lambda span: int(span["startTimeUnixNano"])):
        parent = span.get("parentSpanId", "")
        found.setdefault(parent if parent in known else "", []).append(span)
    return found


def _below(children: dict[str, list[dict[str, Any]]], parent: str, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    for span in children.get(parent, ()):
        yield depth, span
        yield from _below(children, span["spanId"], depth + 1)
