"""Calls of MCP servers. Imports the package `mcp`: import it only to call one.

Each call connects anew: a worker's event loop may end between two of them, and revision 2026-07-28 has no sessions that
one would keep.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import REQUEST_TIMEOUT, CallToolResult, TextContent

from workflow_runtime.errors import NodeError, TransportError
from workflow_runtime.invokers.tools.mcp.servers import McpServer, PinnedTool
from workflow_runtime.language.json_values import Json

PAGES_MAX = 20  # of a list of tools
TRUSTED_SECONDS = 60  # that a list is believed to be as it was

_seen: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
"""Digests of tools by name, of each server by id and address, and when they were read."""


async def listed(server: McpServer) -> list[PinnedTool]:
    """The server's tools as they are now. ``server``: with its secrets. Raises `NodeError`."""
    async with _connected(server) as client:
        return await _listed(client)


async def called(server: McpServer, name: str, arguments: dict[str, Any], digest: str | None) -> Json:
    """What a tool gives. ``digest``: of the tool as it was pinned; None: it may have changed. Raises `NodeError`."""
    async with _connected(server) as client:
        if digest is not None:
            await _check(client, server, name, digest)
        result = await client.call_tool(name, arguments)
    return _value(server, name, result)


async def _check(client: Client, server: McpServer, name: str, digest: str) -> None:
    key = (server.id, server.url or " ".join(server.command or ()))
    at, digests = _seen.get(key, (0.0, {}))
    if digests.get(name) != digest or time.monotonic() - at > TRUSTED_SECONDS:
        digests = {tool.name: tool.digest for tool in await _listed(client)}
        _seen[key] = (time.monotonic(), digests)
    if digests.get(name) != digest:
        what = "has changed since it was pinned" if name in digests else "is not there any more"
        hint = f"look at it, and pin it anew: awr tools pull {server.id}"
        raise NodeError("tool_changed", f"the tool {name!r} of the MCP server {server.id!r} {what}; {hint}")


async def _listed(client: Client) -> list[PinnedTool]:
    found: list[PinnedTool] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            annotations = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
            found.append(
                PinnedTool(
                    name=tool.name,
                    description=tool.description or "",
                    input_schema=tool.input_schema,
                    output_schema=tool.output_schema if isinstance(tool.output_schema, dict) else None,
                    annotations=annotations,
                )
            )
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _value(server: McpServer, name: str, result: CallToolResult) -> Json:
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if result.is_error:
        raise NodeError("execution_error", f"the tool {name!r} of {server.id!r}: {' '.join(texts) or 'it failed'}")
    if result.structured_content is not None:
        return result.structured_content
    if len(texts) == len(result.content):
        return texts[0] if len(texts) == 1 else texts
    return [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]


@asynccontextmanager
async def _connected(server: McpServer) -> AsyncIterator[Client]:
    """Raises `NodeError` for whatever goes wrong: faults of several tasks come together in groups."""
    try:
        if server.command is not None:
            program = StdioServerParameters(command=server.command[0], args=server.command[1:], env=server.env or None)
            transport = stdio_client(program, errlog=sys.__stderr__ or sys.stderr)
            async with Client(transport, read_timeout_seconds=server.timeout) as client:
                yield client
            return
        async with httpx2.AsyncClient(headers=server.headers, timeout=server.timeout) as http:
            transport = streamable_http_client(server.url or "", http_client=http)
            async with Client(transport, read_timeout_seconds=server.timeout) as client:
                yield client
    except Exception as error:
        raise _failure(server, error) from None


def _failure(server: McpServer, error: BaseException) -> NodeError:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case NodeError():
            return error
        case MCPError(code=code) if code == REQUEST_TIMEOUT:
            return NodeError("timeout", f"the MCP server {server.id!r} gave no answer within {server.timeout:g} s")
        case MCPError():
            return NodeError("execution_error", f"the MCP server {server.id!r}: {error}")
        case httpx2.TimeoutException() | TimeoutError():
            return NodeError("timeout", f"the MCP server {server.id!r} gave no answer within {server.timeout:g} s")
        case httpx2.HTTPError() | OSError():
            text = f"the MCP server {server.id!r} cannot be reached: {type(error).__name__}"
            return TransportError("execution_error", text)
    return NodeError("execution_error", f"the MCP server {server.id!r}: {type(error).__name__}: {error}")
