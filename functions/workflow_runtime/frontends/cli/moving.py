"""`awr export --all` and `awr import`: limits, published agents, workflows and ended executions, as lines of JSON.

``{"awr_export": 2}`` is the first line; then ``{"limits": [limiters]}``, ``{"agent": id, "source": text}``,
``{"workflow": id, "source": text}``, and
``{"execution": id, "records_schema": …, "records": […], "last": …}``, a line for each page. No more than a page is held
at once. What is in the file is not asked for again, and what is there already stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.cli.api import Api, api
from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.frontends.client.errors import EngineError, InvalidDefinition, NotFound, TooLarge
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.texts import counted
from workflow_runtime.services.catalog.published_agents import PUBLISHED

FORMAT = 2  # 1 knew no agents
WORKFLOWS_MAX = 100_000
NOT_FIELDS = ("name", "source", "declared")  # what is said of a limiter beside its fields
HEADER = msgspec.json.encode({"awr_export": FORMAT}) + b"\n"
FIELDS = {
    "limits": (),
    "agent": ("mark", "source"),
    "workflow": ("mark", "source"),
    "execution": ("records_schema", "records", "last"),
}
"""By what says its kind, what else a line has."""

Line = dict[str, Any]


class _Header(msgspec.Struct):
    awr_export: int


async def export_all(server: Server, file: Path, out: Output) -> None:
    """Raises `CliError`."""
    known = _known(file) if file.exists() and file.stat().st_size else set()
    counts: Counter[str] = Counter()
    with open(file, "ab") as stream:
        if not known:
            stream.write(HEADER)
        async with api(server) as connection:
            workflows = await _export_definitions(connection, stream, known, counts)
            for workflow in (None, *workflows):
                async for execution in connection.every_execution(workflow):
                    id = str(execution["execution_id"])
                    if id in known:
                        continue
                    known.add(id)
                    if not ExecutionStatus(execution["status"]).terminal:
                        counts["execution left behind, still running"] += 1
                    else:
                        counts[await _export_execution(connection, stream, id, out)] += 1
    _tell(out, file, counts)


async def _export_definitions(connection: Api, stream: BinaryIO, known: set[str], counts: Counter[str]) -> list[str]:
    """The limits anew each time, as the last line of a kind counts; agents that were published, and workflows, that the
    file does not have. The ids of all workflows."""
    shared = [limiter for limiter in await connection.limits() if "/" not in str(limiter["name"])]
    _write(stream, {"limits": shared})
    counts["limit"] += len(shared)
    for agent in await connection.agents_if_known():
        mark = f"agent {agent['agent_id']} version {agent['version']}"
        if agent["source"] == PUBLISHED and mark not in known:
            source = await connection.agent_source(str(agent["agent_id"]))
            _write(stream, {"agent": agent["agent_id"], "mark": mark, "source": source.data.decode()})
            counts["agent"] += 1
    workflows, _ = await connection.workflows(WORKFLOWS_MAX)
    for workflow in workflows:
        mark = f"{workflow['workflow_id']} version {workflow['version']}"
        if mark not in known:
            source = await connection.definition(str(workflow["workflow_id"]))
            _write(stream, {"workflow": workflow["workflow_id"], "mark": mark, "source": source.data.decode()})
            counts["workflow"] += 1
    return [str(workflow["workflow_id"]) for workflow in workflows]


async def _export_execution(connection: Api, stream: BinaryIO, id: str, out: Output) -> str:
    """What it is counted as."""
    try:
        async for page in connection.records(id):
            last = page.pop("next_cursor") is None
            _write(stream, {"execution": id, **page, "last": last})
    except TooLarge as error:
        out.note(f"{id}: {error.message}")
        return "execution left behind, too large"
    except NotFound:
        return "execution that expired meanwhile"
    return "execution"


async def import_all(server: Server, file: Path, out: Output) -> bool:
    """Whether all of it could be taken over. Raises `CliError`."""
    counts: Counter[str] = Counter()
    refused: list[Line] = []
    async with api(server) as connection:
        there: str | None = None  # the execution that needs no more of its pages
        for line in _lines(file):
            if "limits" in line:
                await _import_limits(connection, line["limits"])
                counts["limit"] = len(line["limits"])
            elif "agent" in line:
                if not await _agent_published(connection, line):
                    refused.append(line)
                counts["agent"] += 1
            elif "workflow" in line:
                if not await _published(connection, line):
                    refused.append(line)
                counts["workflow"] += 1
            elif line["execution"] != there:
                if not await connection.put_records(line["execution"], line):
                    there = line["execution"]
                    counts["execution already there"] += 1
                elif line["last"]:
                    counts["execution"] += 1
        left = await _try_again(connection, refused, out)
    for line in left:
        counts["agent" if "agent" in line else "workflow"] -= 1
    _tell(out, file, counts)
    return not left


async def _import_limits(connection: Api, limits: list[Line]) -> None:
    """Limiters that somebody had set are set; those that a file declares are declared beside those there are."""
    declared = {line["name"]: line.get("declared") or _fields(line) for line in limits if _is_declared(line)}
    for line in limits:
        if line["source"] == "set":
            await connection.put_limit(line["name"], _fields(line))
    if declared:
        here = [line for line in await connection.limits() if "/" not in str(line["name"]) and _is_declared(line)]
        kept = {str(line["name"]): line.get("declared") or _fields(line) for line in here}
        await connection.declare_limits({**declared, **kept})


def _is_declared(line: Line) -> bool:
    return line["source"] == "declared" or bool(line.get("declared"))


def _fields(line: Line) -> Line:
    return {name: value for name, value in line.items() if name not in NOT_FIELDS}


async def _published(connection: Api, line: Line) -> bool:
    """False: it is refused, perhaps because it names a workflow that is not published yet."""
    try:
        await connection.publish(Source(line["source"].encode()))
    except InvalidDefinition:
        return False
    return True


async def _agent_published(connection: Api, line: Line) -> bool:
    """False: it is refused, perhaps because it calls an agent that is not published yet."""
    try:
        await connection.publish_agent(Source(line["source"].encode()), force=True)
    except InvalidDefinition:
        return False
    return True


async def _try_again(connection: Api, refused: list[Line], out: Output) -> list[Line]:
    """Those that were refused, now that the others are there: which still are."""
    left: list[Line] = []
    for line in refused:
        source = Source(line["source"].encode())
        try:
            await (connection.publish_agent(source, force=True) if "agent" in line else connection.publish(source))
        except EngineError as error:
            out.note(f"{line.get('agent') or line['workflow']}: {error.message}")
            left.append(line)
    return left


def _write(stream: BinaryIO, line: Line) -> None:
    stream.write(msgspec.json.encode(line) + b"\n")


def _lines(file: Path) -> Iterator[Line]:
    """The lines of a file. Raises `CliError` for one that is not an export, or was written by newer code."""
    with open(file, "rb") as stream:
        _check_header(file, stream.readline())
        for number, text in enumerate(stream, 2):
            try:
                line = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise CliError("invalid_export", f"{file}:{number}: not a line of JSON: {error}") from None
            if not _is_known(line):
                raise CliError("invalid_export", f"{file}:{number}: not a line of an export")
            yield line


def _check_header(file: Path, first: bytes) -> None:
    try:
        format = msgspec.json.decode(first, type=_Header).awr_export
    except msgspec.DecodeError:
        format = 0
    if not 1 <= format <= FORMAT:
        message = f"{file} is not an export that this version reads"
        raise CliError("invalid_export", message, "awr export --all -o FILE writes one, into a file of its own")


def _is_known(line: Any) -> bool:
    return isinstance(line, dict) and any(
        kind in line and all(name in line for name in fields) for kind, fields in FIELDS.items()
    )


def _known(file: Path) -> set[str]:
    """What a file has: marks of workflows, and executions with their last page; of an empty one, nothing. A line that
    was cut off goes; a file that is not an export stays as it is."""
    with open(file, "r+b") as stream:
        first = stream.readline()
        if not HEADER.startswith(first):  # it may be the line that was cut off
            _check_header(file, first)
        stream.seek(0)
        data_end = _end_of_last_line(stream)
        stream.truncate(data_end)
    if not data_end:
        return set()
    found = {str(FORMAT)}
    for line in _lines(file):
        if "mark" in line:
            found.add(line["mark"])
        elif line.get("last"):
            found.add(line["execution"])
    return found


def _end_of_last_line(stream: BinaryIO) -> int:
    end = 0
    for line in stream:
        end += len(line) if line.endswith(b"\n") else 0
    return end


def _tell(out: Output, file: Path, counts: Counter[str]) -> None:
    told = []
    for what, count in counts.items():
        noun, space, rest = what.partition(" ")
        told += [f"{counted(count, noun)}{space}{rest}"] if count else []
    out.line(f"{file}: {'; '.join(told) or 'nothing that was not there'}")
