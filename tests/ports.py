"""Ports for servers that cannot choose one themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 that the system gives to nobody else until the end, before and after a server listens on it.

    It is bound and does not listen: connections are refused, and a server can bind it as well if it sets SO_REUSEADDR,
    as asyncio's, aiohttp's and Go's do. A port that was only seen to be free may be anybody's when the server comes to
    it: of another server, or of one end of any connection.
    """
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield int(reserved.getsockname()[1])
