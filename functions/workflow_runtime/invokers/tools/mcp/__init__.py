"""Tools of MCP servers, which `definitions/mcp` declares: like any tool, once they are pinned.

`servers` (which there are, and what of them is pinned) → `remote` (a pinned tool) → `client` (the protocol; with it
comes the package `mcp`, when the first such tool is called); `registry` reads a folder of them.
"""
