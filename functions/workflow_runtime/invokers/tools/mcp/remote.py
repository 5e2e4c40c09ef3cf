"""A tool of an MCP server, as nodes and agents call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

from workflow_runtime.errors import NodeError, WrongArguments
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools.mcp.servers import UNPINNED, McpServer, PinnedTool, tool_id, with_secrets
from workflow_runtime.invokers.tools.tool import Tool
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import schema_problems
from workflow_runtime.sdk import NodeContext


async def _elsewhere() -> None:
    raise AssertionError("its server runs it")


class RemoteTool(Tool, frozen=True, kw_only=True):
    """``is_local``: programs may be started here. ``is_pinned`` False: it may have changed since it was pinned."""

    server: McpServer
    pinned: PinnedTool
    is_local: bool
    is_pinned: bool = True

    @property
    def input_schema(self) -> dict[str, Json]:
        return self.pinned.input_schema

    @property
    def output_schema(self) -> dict[str, Json] | None:
        return self.pinned.output_schema

    def bind(self, inputs: Mapping[str, Json], context: NodeContext | None) -> dict[str, Any]:  # noqa: ARG002
        """Raises `WrongArguments`."""
        problems = schema_problems(self.pinned.input_schema, dict(inputs)) if self.is_pinned else []
        if problems:
            raise WrongArguments(f"tool {self.id!r}: {'; '.join(problems)}")
        return dict(inputs)

    def unpinned(self) -> RemoteTool:
        return msgspec.structs.replace(self, id=f"{self.id}{UNPINNED}", is_pinned=False)

    async def call(self, call: NodeCall) -> NodeResult:
        """Raises `NodeError`: ``validation_error``, ``tool_changed``, ``not_allowed``, ``timeout``,
        ``execution_error``."""
        arguments = self.bind(call.inputs, None)
        if self.server.command is not None and not self.is_local:
            text = f"the MCP server {self.server.id!r} is a program, which runs on one machine only: give it a `url`"
            raise NodeError("not_allowed", text)
        try:
            from workflow_runtime.invokers.tools.mcp.client import called
        except ImportError as error:
            hint = 'pip install "agent-workflow-runtime[mcp]"'
            text = f"tools of MCP servers need the package mcp ({error.name} is not installed): {hint}"
            raise NodeError("execution_error", text) from None
        secrets, mask = {}, call.mask
        for name in sorted(self.server.secrets):
            secrets[name], mask = await call.reveal(name)
        server = self.server.model_copy(
            update={
                "headers": with_secrets(self.server.headers, secrets),
                "env": with_secrets(self.server.env, secrets),
            }
        )
        digest = self.pinned.digest if self.is_pinned else None
        return NodeResult(mask.value(await called(server, self.pinned.name, arguments, digest)))


def remote_tool(server: McpServer, pinned: PinnedTool, source: str, *, is_local: bool) -> RemoteTool:
    return RemoteTool(
        id=tool_id(server.id, pinned.name),
        description=pinned.description,
        function=_elsewhere,
        arguments=BaseModel,
        names={},
        context=None,
        open=True,
        source=source,
        built_in=True,
        effects=pinned.effects(server),
        server=server,
        pinned=pinned,
        is_local=is_local,
    )
