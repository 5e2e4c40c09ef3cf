"""The one SQLite database of the embedded backend, its schema, and the lock that names the one process using it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from workflow_runtime.errors import RequestError, RetryableError

SCHEMA_VERSION = 1
STATEMENTS_CACHED_MAX = 128
CHECKPOINT_PAGES = 4000  # 16 MB of log between checkpoints: each one costs two fsyncs
COPIED_PAGES = 256  # 1 MB between two chances for others
OTHERS_SECONDS = 0.001  # long enough for a waiting thread to get the lock
MEMORY_DATABASE_ID = "00000000-0000-4000"  # the same each time: what runs in memory can be repeated exactly

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    partition TEXT NOT NULL, sort TEXT NOT NULL, attributes BLOB NOT NULL, index_partition TEXT, index_sort TEXT,
    listing_partition TEXT, listing_sort TEXT, expires_at INTEGER, PRIMARY KEY (partition, sort)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, queue TEXT NOT NULL, body TEXT NOT NULL, group_id TEXT, deduplication_id TEXT,
    sent_at INTEGER NOT NULL, visible_at INTEGER NOT NULL, receives INTEGER NOT NULL DEFAULT 0,
    first_received_at INTEGER NOT NULL DEFAULT 0, dead_letter_source TEXT
);
CREATE TABLE IF NOT EXISTS blobs (
    key TEXT NOT NULL, chunk INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (key, chunk)
);
CREATE TABLE IF NOT EXISTS other_items (
    name TEXT NOT NULL, key TEXT NOT NULL, item BLOB NOT NULL, PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS other_messages (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, identity TEXT NOT NULL, sent_at INTEGER NOT NULL,
    message BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS other_messages_sent ON other_messages (kind, name, identity);
CREATE TABLE IF NOT EXISTS blob_expiries (key TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedules (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, queue TEXT NOT NULL, body TEXT NOT NULL, expression TEXT NOT NULL,
    timezone TEXT NOT NULL, next_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS schedules_due ON schedules (kind, next_at);
CREATE TABLE IF NOT EXISTS boots (
    id INTEGER PRIMARY KEY CHECK (id = 1), database_id TEXT NOT NULL, boot INTEGER NOT NULL
);
"""

# Columns of items that files of earlier versions lack. Those versions leave them empty, so both can use a file in turn.
_ADDED = {"listing_partition": "TEXT", "listing_sort": "TEXT", "expires_at": "INTEGER"}
_INDEXES = """
CREATE INDEX IF NOT EXISTS items_index ON items (index_partition, index_sort) WHERE index_partition IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_listing ON items (listing_partition, listing_sort)
    WHERE listing_partition IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_expiring ON items (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS blobs_expiring ON blob_expiries (expires_at);
"""


class DatabaseLocked(RequestError):
    """Another live process uses the database file. ``pid`` is None when it cannot be told."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__("database_locked", f"{path} is in use by {holder}; one process at a time can work with it")
        self.path = path
        self.pid = pid


class FileLock:
    """An exclusive lock on ``<file>.lock``, which names its holder's pid. The system drops it when the process dies."""

    def __init__(self, path: Path) -> None:
        lock_path = path.with_name(path.name + ".lock")
        # Held open as long as the lock; like the database, for its owner's eyes only.
        self._file = open(lock_path, "a+", opener=private)  # noqa: SIM115
        try:
            _lock(self._file)
        except OSError:
            holder = _read_pid(self._file)
            self._file.close()
            raise DatabaseLocked(path, holder) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        self._file.close()


def private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, readable and writable by its owner only if it is created: payloads may be confidential."""
    return os.open(path, flags, 0o600)


def _read_pid(file: IO[str]) -> int | None:
    file.seek(0)
    with suppress(ValueError, OSError):
        return int(file.read())
    return None


if os.name == "nt":  # pragma: no cover
    import msvcrt

    _LOCK_OFFSET = 1 << 30  # beyond the text, which others then may read

    def _lock(file: IO[str]) -> None:
        file.seek(_LOCK_OFFSET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class Database:
    """One connection, used by all ports under ``lock``. ``boot`` counts the openings of this database from 1.

    Every public method is a transaction of its own, and committed when it returns, unless it is called in a `group` or
    by a `join`: what those write is one transaction, committed at the end, or before by whoever else reads or writes.
    So nobody outside ever sees what may still be lost. Faults of the file (full disk, I/O) are `RetryableError`; one
    that takes a group with it is told to who was in it, and all of ``on_lost`` are called: what was made of its writes
    in memory is void. ``on_expired`` is called when rows have expired.
    The write-ahead log with ``synchronous=NORMAL`` survives the death of the process at any point; when the machine
    itself dies, the last moments may be lost, never consistency.
    """

    def __init__(self, path: Path | None) -> None:
        self.is_in_memory = path is None
        self.lock = threading.RLock()
        self._grouping_thread: int | None = None
        self._losses = 0
        self.on_lost: list[Callable[[], None]] = []
        self.on_expired: Callable[[], None] = lambda: None
        self._is_grouping = False
        self._groups = 0  # transactions of groups that were begun
        self._writes = 0  # in groups
        self._joined_by = 0  # the task (`id`) that wrote last in a join that others came along with
        self._file_lock: FileLock | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file_lock = FileLock(path)
            os.close(private(path, os.O_RDWR | os.O_CREAT))  # SQLite gives its other files the mode of this one
        self._connection = sqlite3.connect(
            ":memory:" if path is None else path,
            isolation_level=None,  # transactions are ours
            check_same_thread=False,
            cached_statements=STATEMENTS_CACHED_MAX,
            timeout=0,
        )
        try:
            if path is not None:
                _set_up_file(self._connection, path)
            self.database_id, self.boot = self._start(MEMORY_DATABASE_ID if path is None else str(uuid.uuid4())[:18])
        except BaseException:
            self.close()
            raise

    def _start(self, new_database_id: str) -> tuple[str, int]:
        self._connection.executescript(_SCHEMA)
        found = {column[1] for column in self._connection.execute("PRAGMA table_info(items)")}
        for name in _ADDED.keys() - found:
            self._connection.execute(f"ALTER TABLE items ADD COLUMN {name} {_ADDED[name]}")
        self._connection.executescript(_INDEXES)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._connection.execute(
            "INSERT INTO boots VALUES (1, ?, 1) ON CONFLICT (id) DO UPDATE SET boot = boot + 1", (new_database_id,)
        )
        database_id, boot = self._connection.execute("SELECT database_id, boot FROM boots").fetchone()
        return database_id, boot

    @contextmanager
    def group(self) -> Iterator[None]:
        """What this thread writes inside is one transaction, committed at the end, also when something raised. Raises
        `RetryableError` when it cannot be, or was lost before."""
        losses, self._grouping_thread = self._losses, threading.get_ident()
        try:
            yield
        finally:
            self._grouping_thread = None
            self._commit()
        if self._losses != losses:
            raise RetryableError("the database: what was to be written together was lost")

    async def join(
        self, function: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Call the function; what it writes is committed when this returns, in one transaction with what others that
        join write in the same turn of the event loop. Raises `RetryableError` when it cannot be, or was lost before."""
        task = id(asyncio.current_task())
        if self._joined_by == task or self._grouping_thread is not None:
            return function(*args, **kwargs)  # nobody comes along with one that writes again and again
        losses, writes = self._losses, self._writes
        self._grouping_thread = threading.get_ident()
        try:
            result = function(*args, **kwargs)
        finally:
            self._grouping_thread = None
            if self._writes != writes and self._is_grouping:
                self._joined_by = task
                await self._joined(self._groups)
        if self._losses != losses:
            raise RetryableError("the database: what was to be written together was lost")
        return result

    async def _joined(self, group: int) -> None:
        """Commit this group, unless somebody else does before."""
        await asyncio.sleep(0)  # whoever writes in this turn comes along
        if self._is_grouping and self._groups == group:
            self._commit()

    def settle(self) -> None:
        """Commit what was written in groups so far; those whose writes are lost are told."""
        if self._is_grouping:
            with suppress(RetryableError):
                self._commit()

    def _commit(self) -> None:
        """Commit what was written in a group. Raises `RetryableError` when all of it is lost."""
        with self.lock:
            if not self._is_grouping:
                return
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failed(error, lost=True) from error
            self._is_grouping = False

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows."""
        try:
            self.enter()
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def read_one(self, sql: str, parameters: Sequence[object]) -> Any:
        """The first row or None."""
        try:
            self.enter()
            return self._connection.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def write(self, sql: str, parameters: Sequence[object]) -> int:
        """Run one statement; returns the number of rows changed."""
        try:
            if self.enter():
                self._begin()
            return self._connection.execute(sql, parameters).rowcount
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def write_all(self, *statements: tuple[str, Iterable[Sequence[object]]]) -> None:
        """Run each statement once per row of parameters, all of it or nothing."""
        undo: tuple[str, ...]
        try:
            if self.enter():
                self._begin()
                begin, end, undo = "SAVEPOINT part", "RELEASE part", ("ROLLBACK TO part", "RELEASE part")
            else:
                begin, end, undo = "BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",)
            self._connection.execute(begin)
            try:
                for sql, rows in statements:
                    self._connection.executemany(sql, rows)
                self._connection.execute(end)
            except BaseException:
                if self._connection.in_transaction:
                    for statement in undo:
                        self._connection.execute(statement)
                raise
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def enter(self) -> bool:
        """Whether this thread is in a group; if not, what was written in one is committed first."""
        if self._grouping_thread is not None and self._grouping_thread == threading.get_ident():
            return True
        self.settle()
        return False

    def _begin(self) -> None:
        """A write of a group follows."""
        self._writes += 1
        if not self._is_grouping:
            self._connection.execute("BEGIN IMMEDIATE")
            self._is_grouping = True
            self._groups += 1

    def _failed(self, error: sqlite3.Error, *, lost: bool = False) -> Exception:
        """What to raise for an error. Some take the whole transaction with them: then the group is lost."""
        if self._is_grouping and (lost or not self._connection.in_transaction):
            self._is_grouping = False
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._losses += 1
            for forget in self.on_lost:
                forget()
        if lost or isinstance(error, (sqlite3.OperationalError, sqlite3.InternalError)):
            return RetryableError(f"the database: {error}")
        return error

    def expire(self, now_seconds: int) -> None:
        """Delete what was kept until then."""
        with self.lock:
            until = [(now_seconds,)]
            expired = "SELECT key FROM blob_expiries WHERE expires_at <= ?"
            self.write_all(
                ("DELETE FROM items WHERE expires_at <= ?", until),
                (f"DELETE FROM blobs WHERE key IN ({expired})", until),
                ("DELETE FROM blob_expiries WHERE expires_at <= ?", until),
            )
            self.on_expired()

    def copy_to(self, copy: sqlite3.Connection) -> None:
        """Copy everything into an empty database; may be called in any thread, and others go on between its steps.

        The copy is the database as it is at the last step: what this connection changes meanwhile, SQLite changes in
        pages already copied, too (sqlite3_backup_step). As each step has ``lock``, none falls into a transaction.
        """

        def let_others(_status: int, _remaining: int, _total: int) -> None:
            self.lock.release()
            time.sleep(OTHERS_SECONDS)
            self.lock.acquire()
            self.enter()

        with self.lock:
            self.enter()
            self._connection.backup(copy, pages=COPIED_PAGES, progress=let_others)

    def close(self) -> None:
        """Close the database and release the lock; doing it twice is fine."""
        with self.lock:
            with suppress(RetryableError, sqlite3.ProgrammingError):  # what is lost was not reported to anybody
                self._commit()
            self._connection.close()
            if self._file_lock is not None:
                self._file_lock.release()


def _set_up_file(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that the file is ours to use before anything is written to it."""
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # also keeps other programs out, and saves system calls
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, SCHEMA_VERSION):
            message = f"{path} has version {found}; this program works with version {SCHEMA_VERSION}"
            raise RequestError("database_version", message)
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise DatabaseLocked(path, None) from error
        raise RequestError("database_invalid", f"{path} cannot be used as a database: {error}") from error
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
