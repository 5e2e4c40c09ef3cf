"""``GET /backup``: the database file as it is at one moment, while it is in use.

A copy is made beside the database, sent, and removed; nothing of the size of the database is ever in memory.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from workflow_runtime.errors import WorkflowRuntimeError
from workflow_runtime.frontends.server.admission import Door, Refused
from workflow_runtime.frontends.server.gateway import (
    App,
    Receive,
    Response,
    Scope,
    Send,
    joined_headers,
    path_of,
    problem,
    refusal,
    send_response,
)
from workflow_runtime.frontends.server.log import logger

BACKUP_PATH = "/backup"
CHUNK_BYTES = 1024 * 1024
MARK = ".backup-"  # in the names of copies under way


class Backups:
    """Answers the one path; every other request goes on to ``inner``. ``copy`` makes the copy."""

    def __init__(self, inner: App, door: Door, copy: Callable[[Path], None], database: Path) -> None:
        self._inner = inner
        self._door = door
        self._copy = copy
        self._database = database
        self._busy = False
        for left in database.parent.glob(f".{database.name}{MARK}*"):  # by a process that was killed
            left.unlink(missing_ok=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_of(scope) != BACKUP_PATH:
            await self._inner(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await send_response(send, refused, bodiless=False)
            return
        self._busy = True
        try:
            with self._temporary() as copy:
                try:
                    await asyncio.to_thread(self._copy, copy)
                except WorkflowRuntimeError as error:
                    logger.error("a backup failed: %s", error)
                    await send_response(send, problem(503, "unavailable", "No backup", str(error)), bodiless=False)
                    return
                await self._send(copy, send)
        finally:
            self._busy = False

    def _refused(self, scope: Scope) -> Response | None:
        caller = self._door.admit(scope["method"], BACKUP_PATH, joined_headers(scope["headers"]))
        if isinstance(caller, Refused):
            return refusal(caller)
        if scope["method"] != "GET":
            return problem(405, "method_not_allowed", "Method not allowed", "this path takes GET", close=True)
        if self._busy:
            detail = "another backup is under way; try again when it has ended"
            return problem(429, "backup_under_way", "One backup at a time", detail, close=True)
        return None

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        name = f".{self._database.name}{MARK}{secrets.token_hex(8)}"
        copy = self._database.with_name(name)
        try:
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    async def _send(self, copy: Path, send: Send) -> None:
        size = os.stat(copy).st_size
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = [
            (b"content-type", b"application/vnd.sqlite3"),
            (b"content-length", str(size).encode()),
            (b"content-disposition", f'attachment; filename="awr-{at}.db"'.encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with copy.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        logger.info("a backup of %d bytes was sent", size)
