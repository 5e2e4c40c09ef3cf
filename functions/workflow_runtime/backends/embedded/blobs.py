"""`ports.Blobs` on SQLite."""

from __future__ import annotations

from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.limits import check_blob_key, sort_key_after
from workflow_runtime.deployment.settings import RETENTION_DAYS
from workflow_runtime.ports import Clock

_DELETE = "DELETE FROM blobs WHERE key = ?"
_INSERT = "INSERT INTO blobs (key, chunk, data) VALUES (?, ?, ?)"
_KEEP = "INSERT OR REPLACE INTO blob_expiries (key, expires_at) VALUES (?, ?)"
_LIST = "SELECT DISTINCT key FROM blobs WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?"

_LAST = "\U0010ffff"  # behind all keys

CHUNK_BYTES = 64 * 1024 * 1024  # SQLite refuses values over 1 GB


class EmbeddedBlobs:
    """See `ports.Blobs`. Objects of any size, in rows of up to 64 MB."""

    def __init__(self, database: Database, clock: Clock, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._database = database
        self._clock = clock
        self._chunk_bytes = chunk_bytes

    def put(self, key: str, data: bytes) -> None:
        check_blob_key(key)
        starts = range(0, len(data) or 1, self._chunk_bytes)
        rows = [(key, chunk, data[start : start + self._chunk_bytes]) for chunk, start in enumerate(starts)]
        with self._database.lock:
            self._database.write_all((_DELETE, [(key,)]), (_INSERT, rows), (_KEEP, [(key, self._expiry())]))

    def get(self, key: str) -> bytes:
        check_blob_key(key)
        with self._database.lock:
            rows = self._database.read("SELECT data FROM blobs WHERE key = ? ORDER BY chunk", (key,))
        if not rows:
            raise KeyError(key)
        return b"".join(data for (data,) in rows) if len(rows) > 1 else bytes(rows[0][0])

    def list(self, prefix: str, after: str, limit: int) -> list[str]:
        with self._database.lock:
            end = sort_key_after(prefix) or _LAST
            return [key for (key,) in self._database.read(_LIST, (prefix, after, end, limit))]

    def renew(self, key: str) -> None:
        check_blob_key(key)
        with self._database.lock:
            if self._database.read_one("SELECT key FROM blobs WHERE key = ?", (key,)) is None:
                raise KeyError(key)
            self._database.write(_KEEP, (key, self._expiry()))

    def _expiry(self) -> int:
        return self._clock.now() // 1000 + 2 * RETENTION_DAYS * 24 * 3600
