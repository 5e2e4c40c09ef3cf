"""`ports.Blobs` on SQLite."""

from __future__ import annotations

from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.limits import check_blob_key

_DELETE = "DELETE FROM blobs WHERE key = ?"
_INSERT = "INSERT INTO blobs (key, chunk, data) VALUES (?, ?, ?)"

CHUNK_BYTES = 64 * 1024 * 1024  # SQLite refuses values over 1 GB


class EmbeddedBlobs:
    """See `ports.Blobs`. Objects of any size, in rows of up to 64 MB."""

    def __init__(self, database: Database, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._database = database
        self._chunk_bytes = chunk_bytes

    def put(self, key: str, data: bytes) -> None:
        check_blob_key(key)
        starts = range(0, len(data) or 1, self._chunk_bytes)
        rows = [(key, chunk, data[start : start + self._chunk_bytes]) for chunk, start in enumerate(starts)]
        with self._database.lock:
            self._database.write_all(
                ("DELETE FROM blobs WHERE key = ?", [(key,)]),
                ("INSERT INTO blobs (key, chunk, data) VALUES (?, ?, ?)", rows),
            )

    def get(self, key: str) -> bytes:
        check_blob_key(key)
        with self._database.lock:
            rows = self._database.read("SELECT data FROM blobs WHERE key = ? ORDER BY chunk", (key,))
        if not rows:
            raise KeyError(key)
        return b"".join(data for (data,) in rows) if len(rows) > 1 else bytes(rows[0][0])
