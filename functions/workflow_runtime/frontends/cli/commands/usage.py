"""`awr usage`: what models have used and cost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.commands.list import time_before
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import AsJson, Database, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.texts import columns, counted, visible

EXECUTIONS_DEFAULT = 1_000  # each is read
BY = ("by_tenant", "by_workflow", "by_agent", "by_model")


def usage(
    workflow: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW]", help="Only of its executions.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Only of executions started since, say 24h or 7d.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Of at most this many executions, the newest.")
    ] = EXECUTIONS_DEFAULT,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show what the models of executions have used and cost: in all, by tenant, workflow, agent and model.

    Attempts that failed count, too: they were paid for. Costs are of models whose price is known.

    Exit codes: 0 fine, 2 wrong usage, 6 the API cannot be reached.
    """
    started = time_before(since) if since is not None else None
    out = Output(json=json)
    report, more = asyncio.run(_report(Server(url, token, profile, region, db), workflow, started, limit))
    out.document({**report, "more": more})
    for line in _lines(report):
        out.line(line)
    if more:
        out.note([("hint: ", "cyan"), f"this is of the newest {report['executions']:,} executions; --limit takes more"])
    return ExitCode.OK


async def _report(server: Server, workflow: str | None, since: str | None, limit: int) -> tuple[dict[str, Any], bool]:
    async with api(server) as connection:
        pages = [page async for page in connection.usage(workflow, since, limit)]
    found: dict[str, Any] = {
        "executions": sum(page["executions"] for page in pages),
        "total": _sum(page["total"] for page in pages),
    }
    for name in BY:
        parts: dict[str, list[Any]] = defaultdict(list)
        for page in pages:
            for value, used in page[name].items():
                parts[value].append(used)
        found[name] = {value: _sum(used) for value, used in sorted(parts.items())}
    return found, bool(pages) and pages[-1]["next_cursor"] is not None


def _sum(usages: Any) -> dict[str, Any] | None:
    summed = total(usages)
    return {name: value for name, value in summed.items() if name != "model"} if summed is not None else None


def _lines(report: dict[str, Any]) -> Iterator[Line]:
    count = report["executions"]
    executions = counted(count, "execution")
    if report["total"] is None:
        yield f"no model was asked in {executions}"
        return
    yield [(f"{executions}  ", "bold"), _text(report["total"])]
    for name in BY:
        if not report[name]:
            continue
        yield [(name.replace("_", " "), "bold")]
        shown = {visible(value): used for value, used in report[name].items()}
        width = max(map(columns, shown))
        for value, used in shown.items():
            yield f"  {value}{' ' * (width - columns(value))}  {_text(used)}"


def _text(used: dict[str, Any]) -> str:
    cost = f"  ${used['usd']:,.4f}" if used.get("usd") is not None else ""
    return f"{used['requests']:>7,} requests {used['input_tokens']:>12,} in {used['output_tokens']:>11,} out{cost}"
