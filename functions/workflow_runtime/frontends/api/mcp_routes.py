"""The routes of the MCP server, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from workflow_runtime.frontends.api.answers import JSON_TYPE
from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.chart_models import JsonObject
from workflow_runtime.frontends.api.route import Reply, Route, Scope, json_reply
from workflow_runtime.frontends.mcp.server import McpServer

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

CALL_BODY = "a call"


class McpCall(ApiModel):
    """A JSON-RPC call of the Model Context Protocol. Without an id it is a notification, which nobody answers."""

    jsonrpc: Literal["2.0"]
    id: str | int = Field("")
    method: str = Field(examples=["tools/list"])
    params: JsonObject | None = Field(None)


class McpError(ApiModel):
    """What is wrong with a call, by the codes of JSON-RPC and MCP."""

    code: int
    message: str
    data: Any = Field(None)


class McpAnswer(ApiModel):
    """A result or an error."""

    jsonrpc: Literal["2.0"]
    id: str | int | None
    result: JsonObject = Field({})
    error: McpError | None = Field(None)


class ResourceMetadata(ApiModel):
    """RFC 9728: who issues tokens for the MCP server."""

    resource: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    scopes_supported: list[str] = Field([])


def mcp_routes(runtime: Runtime) -> tuple[Route, ...]:
    server, answer = McpServer(runtime), {JSON_TYPE: McpAnswer}
    known = (json_reply(ResourceMetadata, "Who issues tokens"),)
    return (
        Route(
            "POST",
            "/mcp",
            server.answer,
            "callMcp",
            (
                Reply(200, "The result, or an error", answer),
                Reply(202, "A notification was taken"),
                Reply(400, "The call cannot be read, or is wrong", answer),
                Reply(403, "The web page may not call", answer),
                Reply(404, "There is no such method", answer),
            ),
            (422,),
            body=CALL_BODY,
            body_model=McpCall,
            scope=Scope.MCP,
        ),
        Route(
            "GET",
            "/.well-known/oauth-protected-resource",
            server.resource_metadata,
            "getResourceMetadata",
            known,
            (404, 422),
            scope=Scope.OPEN,
        ),
        Route(
            "GET",
            "/.well-known/oauth-protected-resource/mcp",
            server.resource_metadata,
            "getMcpResourceMetadata",
            known,
            (404, 422),
            scope=Scope.OPEN,
        ),
    )
