"""The servers that a folder declares, with the tools that are pinned of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.invokers.entries import read_entries
from workflow_runtime.invokers.tools.mcp.remote import RemoteTool, remote_tool
from workflow_runtime.invokers.tools.mcp.servers import McpServer, pins_file, read_pins
from workflow_runtime.language.yaml.small_files import DECLARED_TWICE, UNUSABLE_TOOL


class McpServers:
    """``tools``: what is pinned, by server and id. ``is_local``: programs may be started here."""

    def __init__(self, servers: dict[str, tuple[McpServer, Path]], tools: dict[str, dict[str, RemoteTool]]) -> None:
        self.servers = servers
        self.tools = tools

    @classmethod
    def load(cls, folder: Path | None, *, is_local: bool) -> McpServers:
        """Raises `DefinitionError` with everything that is wrong."""
        findings: list[Finding] = []
        servers: dict[str, tuple[McpServer, Path]] = {}
        tools: dict[str, dict[str, RemoteTool]] = {}
        for id, (server, document) in read_entries(folder, "mcp", McpServer, findings).items():
            file = pins_file(Path(document.file), id)
            servers[id] = server, file
            try:
                pins = read_pins(file)
            except (msgspec.DecodeError, OSError) as error:
                message = f"{file.name} cannot be read ({error}): awr tools pull {id} writes it anew"
                findings.append(document.finding(UNUSABLE_TOOL, message))
                continue
            if pins is None:
                continue
            made = [remote_tool(server, pinned, document.file, is_local=is_local) for pinned in pins]
            tools[id] = {tool.id: tool for tool in made}
            if len(tools[id]) < len(made):
                findings.append(document.finding(DECLARED_TWICE, f"two tools of {id!r} have the same id here"))
        if findings:
            raise DefinitionError(findings)
        return cls(servers, tools)
