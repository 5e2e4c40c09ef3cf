"""`awr export`: an execution as a recording; `awr replay`: its journal taken again, and the first difference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from workflow_runtime.engine.recording import Recording, decode_recording, encode_recording, first_deviation
from workflow_runtime.engine.replay import Difference
from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.moving import export_all
from workflow_runtime.frontends.cli.options import AsJson, Database, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.language.texts import counted

ExecutionOrNone = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The execution; or --all.", show_default=False)
]


def export(
    execution: ExecutionOrNone = None,
    all_: Annotated[bool, typer.Option("--all", help="Workflows, limits, and all executions that have ended.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write it here, not to stdout."),
    ] = None,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
) -> int:
    """Export an execution as a recording: its journal, its plan, and of the data what decisions read. With --all,
    everything that can move to another deployment, for awr import.

    \b
      awr export ex-01a2… -o refund.json && awr replay refund.json
      awr export --all -o moved.jsonl && awr import moved.jsonl --url https://…

    A recording can be kept and replayed with later versions: by awr replay, or in tests by workflow_runtime.testing's
    replay. It holds data of the execution.

    With --all, an export that was interrupted goes on where it was when it is asked for again, and one that is repeated
    adds what has ended since. Executions that run are left out.

    Exit codes: 0 fine, 1 there is no such execution, 2 wrong usage, 6 the API cannot be reached.
    """
    server, out = Server(url, token, profile, region, db), Output()
    if all_:
        if execution is not None or output is None:
            raise usage_error("--all takes no execution, and a file: awr export --all -o FILE")
        asyncio.run(export_all(server, output, out))
        return ExitCode.OK
    if execution is None:
        raise usage_error("name an execution, or all of them: awr export ID, awr export --all -o FILE")
    recording = asyncio.run(recorded(server, execution))
    text = encode_recording(recording) + b"\n"
    if output is None:
        out.text(text.decode())
    else:
        output.write_bytes(text)
        out.line([f"{output}: ", (f"{len(recording.entries):,} commits, {len(text):,} bytes", "dim")])
    return ExitCode.OK


async def recorded(server: Server, execution_id: str) -> Recording:
    """The execution's recording until now. Raises `CliError`."""
    async with api(server) as connection:
        return await connection.recording(execution_id)


def replay(
    execution: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="An execution, or a file of awr export.", show_default=False)
    ],
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Replay an execution's journal with this version's engine, and show the first difference.

    Nothing runs, and nothing is changed: the engine decides again on the recorded events, with the recorded results.

    \b
      awr replay ex-01a2… --db dev.db
      awr export ex-01a2… -o refund.json && awr replay refund.json

    \b
    Exit codes:
      0  the engine decides the same          2  wrong usage
      1  there is a difference, or nothing    6  the API cannot be reached
         to replay
    """
    out = Output(json=json)
    file = Path(execution)
    recording = (
        read_recording(file)
        if file.is_file()
        else asyncio.run(recorded(Server(url, token, profile, region, db), execution))
    )
    try:
        found = first_deviation(recording)
    except msgspec.DecodeError as error:
        raise CliError("invalid_recording", f"this version cannot read the recorded plan or state: {error}") from error
    out.document(
        {
            "execution_id": recording.execution_id,
            "workflow_id": recording.workflow_id,
            "workflow_version": recording.workflow_version,
            "commits": len(recording.entries),
            "difference": msgspec.to_builtins(found),
        }
    )
    for line in _shown(recording, found):
        out.line(line)
    return ExitCode.OK if found is None else ExitCode.INVALID


def read_recording(file: Path) -> Recording:
    """Raises `CliError` for a file that is not a recording."""
    try:
        return decode_recording(file.read_bytes())
    except msgspec.DecodeError as error:
        raise CliError("invalid_recording", f"{file} is not a recording: {error}", "awr export ID -o FILE") from error


def _shown(recording: Recording, found: Difference | None) -> Iterator[Line]:
    count = len(recording.entries)
    which = f"{recording.execution_id} ({recording.workflow_id} version {recording.workflow_version})"
    if found is None:
        yield [("the same: ", "green"), f"{counted(count, 'commit')} of {which}"]
        return
    yield [("different: ", "red"), f"commit {found.version:,} of {count:,} of {which}"]
    for event in found.events:
        yield [("  took      ", "dim"), event]
    yield [("  at        ", "dim"), (found.place, "bold")]
    yield [("  recorded  ", "dim"), found.recorded or "(nothing)"]
    yield [("  replayed  ", "dim"), found.replayed or "(nothing)"]
