"""The MCP server behind `POST /mcp`: workflows with ``expose: mcp`` are tools, their executions tasks.

In the order a call meets them: `protocol` (one JSON-RPC call in an HTTP request, of whichever revision) → `server` (the
methods) → `tools` (workflows as tools, outputs as results) → `tasks` (executions as tasks, approvals as elicitations).

It is stateless: whatever a call needs stands in it or in the execution that it names, so any process answers it. No MCP
SDK is imported: the protocol is a few documents, and importing one would take longer than all the rest of the API.
"""
