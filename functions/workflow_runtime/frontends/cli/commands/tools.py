"""`awr tools`: the tools that workflows may name here, and what each takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import definitions_directory
from workflow_runtime.frontends.cli.options import AsJson, Definitions, MocksFile
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.pinning import PULL, pull
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.texts import preview
from workflow_runtime.plan.catalogue import Argument, Catalogue, CatalogueEntry
from workflow_runtime.runtime.registries import Registries

DEFAULT_COLUMNS_MAX = 40  # of an argument's default
Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this one, with its schemas.", show_default=False)]


def tools(
    id: Id = None,
    server: Annotated[
        str | None, typer.Argument(metavar="[SERVER]", help="With `pull`: the MCP server.", show_default=False)
    ] = None,
    definitions: Definitions = None,
    mocks: MocksFile = None,
    json: AsJson = False,
) -> int:
    """List the tools that workflows may name: built-in ones, those of the definitions directory and of MCP servers.

    \b
      awr tools
      awr tools http_request
      awr tools pull github

    `pull SERVER` asks an MCP server of definitions/mcp what tools it has, shows what has changed, and pins that: agents
    and nodes use these tools as they are then, and are refused them when they change.

    With --json: ids, descriptions, sources and JSON Schemas.

    Exit codes: 0 listed, 1 there is no such tool or server, or it cannot be used, 2 wrong usage.
    """
    if id == PULL:
        return pull(Output(json=json), definitions or definitions_directory(None), server)
    if server is not None:
        raise usage_error(f"awr tools takes one tool; did you mean awr tools {PULL} {server}?")
    return show_entries(Output(json=json), "tool", catalogue_here(definitions, mocks).tools, id)


def catalogue_here(definitions: Path | None, mocks: Path | None) -> Catalogue:
    loaded = Mocks.load(mocks) if mocks is not None else None
    return Registries(definitions or definitions_directory(None), loaded).catalogue


def show_entries(out: Output, kind: str, entries: Mapping[str, CatalogueEntry], id: str | None) -> ExitCode:
    if id is not None and id not in entries:
        hint = did_you_mean(id, entries) or f"awr {kind}s lists the available ones"
        raise CliError("not_found", f"there is no {kind} {id!r}", hint)
    shown = [entry for entry in entries.values() if id in (None, entry.id)]
    out.document({f"{kind}s": [msgspec.to_builtins(entry) for entry in shown]})
    for entry in shown:
        for line in _entry(entry):
            out.line(line)
        if id is not None:
            for line in _schemas(entry):
                out.line(line)
    if not shown:
        out.note([f"no {kind}s; ", ("hint: ", "cyan"), "--definitions says where they are declared"])
    return ExitCode.OK


def _entry(entry: CatalogueEntry) -> Iterator[Line]:
    effects = f"  effects: {entry.effects}" if entry.effects is not None else ""
    said = [f"  {entry.description}"] if entry.description else []
    yield [(entry.id, "bold"), *said, (f"  {entry.source}{effects}", "dim")]
    for argument in entry.arguments:
        yield ["    ", *_argument(argument)]
    if entry.input_schema is not None and entry.takes_others:
        yield [("    … and any others", "dim")]


def _argument(argument: Argument) -> list[str | tuple[str, str]]:
    default = "" if argument.default is None else f" = {preview(argument.default, DEFAULT_COLUMNS_MAX)}"
    optional = "" if argument.required else "?"
    said = [(f"  {argument.description}", "dim")] if argument.description else []
    return [f"{argument.name}{optional}: ", (argument.type, "cyan"), default, *said]


def _schemas(entry: CatalogueEntry) -> Iterator[Line]:
    for name, schema in (("takes", entry.input_schema), ("returns", entry.output_schema)):
        yield ""
        yield [(name, "bold"), "" if schema is not None else " anything"]
        if schema is not None:
            yield from msgspec.json.format(msgspec.json.encode(schema), indent=2).decode().splitlines()
