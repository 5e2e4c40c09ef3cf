"""`awr tools pull`: what an MCP server offers becomes what agents and nodes use of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.invokers.tools.mcp.registry import McpServers
from workflow_runtime.invokers.tools.mcp.servers import McpServer, PinnedTool, read_pins, with_secrets, write_pins
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.texts import counted, shorten
from workflow_runtime.runtime.environment import EnvironmentSecrets

PULL = "pull"
DESCRIPTION_COLUMNS = 80


def pull(out: Output, definitions: Path | None, id: str | None) -> ExitCode:
    """Raises `CliError`, `DefinitionError`."""
    folder = definitions / "mcp" if definitions is not None else None
    servers = McpServers.load(folder, is_local=True).servers
    if id is None:
        known = ", ".join(servers) or "none is declared in definitions/mcp"
        raise usage_error(f"awr tools {PULL} takes an MCP server ({known})")
    if id not in servers:
        hint = did_you_mean(id, servers) or "definitions/mcp declares them"
        raise CliError("not_found", f"there is no MCP server {id!r}", hint)
    server, file = servers[id]
    before = {tool.name: tool for tool in read_pins(file) or ()}
    now = {tool.name: tool for tool in _listed(server)}
    write_pins(file, now.values())
    out.document({"server": id, "file": str(file), "tools": [msgspec.to_builtins(tool) for tool in now.values()]})
    for line in _changes(before, now):
        out.line(line)
    out.line([f"{counted(len(now), 'tool')} pinned in ", (str(file), "bold")])
    return ExitCode.OK


def _listed(server: McpServer) -> list[PinnedTool]:
    try:
        from workflow_runtime.invokers.tools.mcp.client import listed
    except ImportError as error:
        hint = 'pip install "agent-workflow-runtime[mcp]"'
        raise CliError("missing_dependency", f"MCP servers need the package mcp ({error.name})", hint) from None
    try:
        secrets = {name: EnvironmentSecrets().get(name) for name in server.secrets}
        told = {"headers": with_secrets(server.headers, secrets), "env": with_secrets(server.env, secrets)}
        return asyncio.run(listed(server.model_copy(update=told)))
    except NodeError as error:
        raise CliError(error.type, error.message) from None


def _changes(before: dict[str, PinnedTool], now: dict[str, PinnedTool]) -> Iterator[Line]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if new is None:
            yield [("- ", "red"), name]
        elif old is None:
            yield [("+ ", "green"), name, (f"  {shorten(new.description, DESCRIPTION_COLUMNS)}", "dim")]
        elif old.digest != new.digest:
            yield [("~ ", "yellow"), name, (f"  {shorten(new.description, DESCRIPTION_COLUMNS)}", "dim")]
