"""The command graph: a workflow as its file has it, or an execution, with its statuses and active states marked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from workflow_runtime.frontends.cli.output import ExitCode, Output, usage_error
from workflow_runtime.frontends.cli.server import Server


class GraphOptions(msgspec.Struct, frozen=True):
    """How to draw, and what if it is no file: an ``execution``, of the database ``db`` or else of an API."""

    format: str
    target: Path | None = None
    definitions: Path | None = None
    execution: str | None = None
    db: Path | None = None


def graph(out: Output, file: Path | None, options: GraphOptions, server: Server) -> ExitCode:
    """Carry ``awr graph`` out; raises what `output.cli_error` knows."""
    drawing = _drawing(out, file, options, server)
    if options.target is None:
        out.text(drawing)
        return ExitCode.OK
    options.target.write_text(drawing, encoding="utf-8")
    out.note([("written ", "green"), str(options.target)])
    return ExitCode.OK


def _drawing(out: Output, file: Path | None, options: GraphOptions, server: Server) -> str:
    if options.execution is None:
        if options.db is not None:
            raise usage_error("--db goes with --execution: which one of that file?")
        if file is None:
            raise usage_error("what to draw? give a FILE, or --execution ID")
        return _of_file(out, file, options)
    if file is not None or options.definitions is not None:
        raise usage_error("--execution draws the plan that it started with: leave out FILE and --definitions")
    if options.db is not None:
        return _of_database(options.db, options.execution, options.format)
    return asyncio.run(_of_server(server, options.execution, options.format))


def _of_file(out: Output, file: Path, options: GraphOptions) -> str:
    from workflow_runtime.drawing import render
    from workflow_runtime.frontends.cli.checking import plan_of

    plan, _ = plan_of(out, file, options.definitions)
    return render(plan, options.format)


def _of_database(db: Path, execution_id: str, format: str) -> str:
    """Nobody else may have the file open meanwhile: of what `awr dev` runs, its API tells."""
    from workflow_runtime.backends.embedded.backend import open_backend
    from workflow_runtime.drawing import render
    from workflow_runtime.services.views.queries import Queries
    from workflow_runtime.storage.workflows import WorkflowStore

    with open_backend(db) as backend:
        queries = Queries(backend.ports, WorkflowStore(backend.ports.table))
        header = queries.header(execution_id)
        plan = queries.plan(header.plan_hash)
        return render(plan, format, queries.statuses(header), queries.current_states(header))


async def _of_server(server: Server, execution_id: str, format: str) -> str:
    from workflow_runtime.frontends.cli.api import api

    async with api(server) as connection:
        return await connection.drawing(execution_id, format)
