"""An MCP server as others write them, with the official package, for tests: `python server.py PORT [DESCRIPTION]`,
or over stdin with the port `stdio`.
"""

from __future__ import annotations

import sys

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

port, description = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "How much of an article there is."
server = MCPServer("stock")


@server.tool(description=description, annotations=ToolAnnotations(readOnlyHint=True))
def in_stock(article: str) -> dict[str, int]:
    return {"count": len(article)}


@server.tool(name="order.article")
def order(article: str, count: int = 1) -> str:
    """Order an article."""
    if count > 9:
        raise ValueError("too many")
    return f"{count} x {article}"


if __name__ == "__main__":
    if port == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(port))
