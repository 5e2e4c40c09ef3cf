"""In the worker: what an agent writes goes to those who watch, in pieces; not a call is made when nobody does."""

from __future__ import annotations

import logging
import time

from msgspec.structs import replace

from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Ports
from workflow_runtime.storage.live import Delta, LiveStore, Part

FLUSH_SECONDS = 0.25  # people read along; every piece is a write
FLUSH_CHARACTERS = 400

logger = logging.getLogger(__name__)


class LiveWriter:
    """One run's. ``watched_until`` (epoch ms): as its header said when it began; `watch` when that is known to be
    later."""

    def __init__(
        self, ports: Ports, store: LiveStore, execution_id: str, path: str, serial: int, watched_until: int
    ) -> None:
        self._ports = ports
        self._store = store
        self._execution_id = execution_id
        self._delta = Delta(path, serial, 0, ())
        self._watched_until = watched_until
        self._messages = 0
        self._parts: list[Part] = []
        self._flushed_at = 0.0

    def watch(self, until: int) -> None:
        self._watched_until = max(self._watched_until, until)

    @property
    def is_watched(self) -> bool:
        return self._ports.clock.now() < self._watched_until

    def next_message(self) -> int:
        self._messages += 1
        return self._messages

    async def tell(self, part: Part) -> None:
        last = self._parts[-1] if self._parts else None
        if last is not None and part.text and replace(last, text="") == replace(part, text=""):
            self._parts[-1] = replace(last, text=last.text + part.text)
        else:
            self._parts.append(part)
        characters = sum(len(each.text) for each in self._parts)
        waited = time.monotonic() - self._flushed_at
        if part.kind == "end" or characters >= FLUSH_CHARACTERS or waited >= FLUSH_SECONDS:
            await self._flush()

    async def _flush(self) -> None:
        self._delta = replace(self._delta, seq=self._delta.seq + 1, parts=tuple(self._parts))
        self._parts.clear()
        self._flushed_at = time.monotonic()
        try:
            await self._ports.offload(self._store.write, self._execution_id, self._delta, self._ports.clock.now())
        except (RetryableError, ValueError):
            logger.warning("what an agent writes could not be told", extra={"execution_id": self._execution_id})
