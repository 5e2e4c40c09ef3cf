"""MCP servers that definitions declare, and what of their tools was pinned.

A server may change what it offers at any time, its descriptions too, which models follow. So what is offered to agents
and checked by the compiler is what somebody has looked at: `awr tools pull SERVER` writes it to a file beside the
declaration, and a tool that has changed since is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.catalogue import Effects

SECONDS_DEFAULT = 60.0
SECONDS_MAX = 900.0
PINS_SUFFIX = ".lock"  # of the file with what is pinned, beside the server's own
ID_PATTERN = r"^\w[\w-]*$"
SEPARATOR = "__"  # between a server's id and its tool's name
UNPINNED = "~any"  # follows the id of a tool that may have changed

_SECRET = re.compile(r"\$\{secrets\.([A-Za-z0-9_]+)\}")


class McpServer(BaseModel):
    """An MCP server: where it is (``url``), or, on this machine only, how it is started (``command``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: Annotated[str, Field(pattern=ID_PATTERN, max_length=64), AfterValidator(normalized)]
    url: str | None = Field(None, pattern=r"^https?://", description="Of its endpoint (streamable HTTP).")
    command: list[str] | None = Field(
        None, min_length=1, description="Program and arguments of a server that speaks over stdin; on one machine only."
    )
    headers: dict[str, str] = Field({}, description="Sent with each request; `${secrets.NAME}` stands for a secret.")
    env: dict[str, str] = Field({}, description="Variables of the command's process, likewise.")
    timeout: float = Field(SECONDS_DEFAULT, gt=0, le=SECONDS_MAX, description="Seconds that a call may take.")
    effects: Literal["none", "idempotent", "once"] | None = Field(
        None, description="What calls do to the world; by default what the server says of each tool, else `once`."
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("a server has either a `url` or a `command`")
        if self.command is not None and self.headers:
            raise ValueError("`headers` are for servers with a `url`")
        if self.url is not None and self.env:
            raise ValueError("`env` is for servers with a `command`")
        return self

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets that it is told."""
        texts = (*self.headers.values(), *self.env.values())
        return frozenset(name for text in texts for name in _SECRET.findall(text))


def with_secrets(texts: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
    return {name: _SECRET.sub(lambda found: secrets[found[1]], text) for name, text in texts.items()}


class PinnedTool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool as its server described it when it was pinned. ``annotations``: hints of the server about its effects."""

    name: str
    description: str = ""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        """Of what models are told, and what calls are checked by."""
        told = msgspec.json.encode([self.name, self.description, self.input_schema], order="deterministic")
        return hashlib.sha256(told).hexdigest()

    def effects(self, server: McpServer) -> Effects:
        if server.effects is not None:
            return Effects(server.effects)
        if self.annotations.get("readOnlyHint") is True:
            return Effects.NONE
        return Effects.IDEMPOTENT if self.annotations.get("idempotentHint") is True else Effects.ONCE


def tool_id(server: str, name: str) -> str:
    """By which agents and nodes name a server's tool."""
    return server + SEPARATOR + re.sub(r"[^\w-]", "_", name)


def pins_file(declaration: Path, server: str) -> Path:
    return declaration.with_name(server + PINS_SUFFIX)


def read_pins(file: Path) -> list[PinnedTool] | None:
    """None: nothing is pinned. Raises `msgspec.DecodeError`, `OSError`."""
    return msgspec.json.decode(file.read_bytes(), type=list[PinnedTool]) if file.is_file() else None


def write_pins(file: Path, tools: Iterable[PinnedTool]) -> None:
    """In an order of its own, so that a change shows as one."""
    data = msgspec.json.encode(sorted(tools, key=lambda tool: tool.name), order="sorted")
    file.write_bytes(msgspec.json.format(data, indent=2) + b"\n")
