"""What the built-in tools are given: AWS clients, name resolution, and how to open connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import httpx

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to all its addresses, as text. Raises `OSError` when there are none."""

LAMBDA_READ_SECONDS = 900  # Lambda's longest run; the node's timeout ends it sooner
READ_SECONDS = 60


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The system's resolver, all address families."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@lru_cache(maxsize=16)
def aws_client(service: str) -> Any:
    """A boto3 client, without retries: only the engine grants attempts, and these calls have effects."""
    import boto3
    from botocore.config import Config

    seconds = LAMBDA_READ_SECONDS if service == "lambda" else READ_SECONDS
    config = Config(connect_timeout=5, read_timeout=seconds, retries={"total_max_attempts": 1, "mode": "standard"})
    client: Callable[..., Any] = boto3.client  # typed per service only; the name is a variable here
    return client(service, config=config)


class ToolServices(msgspec.Struct, frozen=True, kw_only=True):
    """Injected into the built-in tools. ``transport`` None: real connections."""

    clients: Callable[[str], Any] = aws_client
    resolve: Resolver = system_resolver
    transport: httpx.AsyncBaseTransport | None = None
