"""`awr whatif`: an execution taken again, with changes."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from workflow_runtime.errors import error_line
from workflow_runtime.frontends.cli.cassettes import read_cassette, recorded
from workflow_runtime.frontends.cli.changes import changed_agents, changed_input
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.files import definitions_directory
from workflow_runtime.frontends.cli.options import (
    AllowHttp,
    AsJson,
    Database,
    Definitions,
    MocksFile,
    Profile,
    Region,
    Token,
    Url,
    Verbose,
)
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.cli.stderr_log import log_to_stderr
from workflow_runtime.frontends.cli.summary import usage_text
from workflow_runtime.frontends.cli.what_if import WhatIf, taken_again
from workflow_runtime.invokers.agents import AgentRegistry
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import counted, visible

EXIT_CODES = {"completed": ExitCode.OK, "failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}
HINT = "--call TOOL really calls a tool, --mocks FILE answers for it; one with `effects: none` is called"
STYLES = {"-": "red", "+": "green"}


Which = Annotated[
    str, typer.Argument(metavar="ID|FILE", help="An execution, or a file of awr record.", show_default=False)
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PLACE=VALUE", help="Change agents.ID.FIELD or input.FIELD (repeatable)."),
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Have all agents ask this model.")]
Called = Annotated[
    list[str] | None,
    typer.Option("--call", metavar="TOOL", help="Really call this tool where the record lacks a call (repeatable)."),
]


def whatif(
    execution: Which,
    set: Changes = None,
    model: Model = None,
    call: Called = None,
    mocks: MocksFile = None,
    definitions: Definitions = None,
    allow_http: AllowHttp = None,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Take an execution again, changed, and show what comes out differently.

    \b
      awr whatif ex-01a2… --db dev.db --set agents.reply.instructions=@new.md
      awr whatif tests/cassettes/refund.json --model bedrock:us.amazon.nova-pro-v1:0

    It runs in memory, with the workflow and the agents as they are in the definitions here. What is recorded is free:
    a model is asked from the first request on that is not the recorded one. Of tools, those without effects are called
    where the record has no such call, and those that --call names; mocks may answer for others. Nobody is asked: people
    answer as recorded, and approve what is not really called.

    \b
    Exit codes:
      0  completed                  3  failed
      1  wrong input                5  waits for something outside
      2  wrong usage                6  the API cannot be reached
    """
    out = Output(json=json)
    file = Path(execution)
    cassette = (
        read_cassette(file)
        if file.is_file() or file.suffix == ".json"
        else asyncio.run(recorded(Server(url, token, profile, region, db), execution))
    )
    folder = definitions or definitions_directory(None)
    changes = changed_agents(AgentRegistry.load(folder / "agents" if folder is not None else None), set or (), model)
    asked = WhatIf(cassette, changes, tuple(call or ()), Mocks.load(mocks) if mocks is not None else None)
    with log_to_stderr(verbose), redirect_stdout(sys.stderr):  # what tools print is not the result
        report = taken_again(asked, folder, changed_input(cassette.input, set or ()), allow_http or ())
    out.document(report)
    for line in _lines(report):
        out.line(line)
    now = report["now"]
    if (now["error"] or {}).get("type") == "replay_diverged":
        out.note([("hint: ", "cyan"), HINT])
    return EXIT_CODES.get(now["status"], ExitCode.WAITING)


def _lines(report: dict[str, Any]) -> Iterator[Line]:
    before, now = report["recorded"], report["now"]
    yield [("what if ", "bold"), f"{report['execution_id']} ({report['workflow_id']})"]
    for departure in report["departures"]:
        kept = departure["requests_recorded"]
        after = f" after {counted(kept, 'recorded request')}" if kept else ""
        yield [
            ("  goes another way at ", "yellow"),
            f"{visible(departure['node'])}{after}: {visible(departure['why'])}",
        ]
    if not report["departures"]:
        yield "  all went as recorded"
    for text in report["untaken"]:
        yield [("  not taken ", "yellow"), visible(text)]
    for node in dict.fromkeys((*before["calls"], *now["calls"])):
        if before["calls"].get(node) != now["calls"].get(node):
            yield [("calls of ", "bold"), visible(node)]
            yield from _difference(before["calls"].get(node, []), now["calls"].get(node, []))
    for name, texts in (("status", _texts), ("output", _texts), ("error", _error_texts)):
        if before[name] != now[name]:
            yield [(name, "bold")]
            yield from _difference(texts(before[name]), texts(now[name]))
    if before["status"] == now["status"] and before["output"] == now["output"]:
        yield f"the same {'output' if now['status'] == 'completed' else 'end'} as recorded"
    yield [("recorded ", "dim"), _cost(before["usage"])]
    yield [("paid now ", "dim"), _cost(now["usage"])]


def _texts(value: Json) -> list[str]:
    if value is None:
        return []
    text = value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text.splitlines()


def _error_texts(error: dict[str, Any] | None) -> list[str]:
    return [error_line(error)] if error is not None else []


def _difference(before: list[str], now: list[str]) -> Iterator[Line]:
    for line in difflib.ndiff(before, now):
        if not line.startswith("?"):
            yield [(f"  {visible(line)}", STYLES.get(line[0], "dim"))]


def _cost(usage: dict[str, Any] | None) -> str:
    return usage_text(usage) if usage else "no request of a model"
