"""Copies of a database file: made while it is in use, and put back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from workflow_runtime.backends.embedded.database import SCHEMA_VERSION, Database, FileLock, private
from workflow_runtime.errors import RequestError, RetryableError

SIDE_FILES = ("-wal", "-shm", "-journal")  # of SQLite, beside the file


def back_up(database: Database, file: Path) -> None:
    """Copy the database, as it is at one moment, into a new file for its owner's eyes; may be called in any thread.

    Raises `RequestError` ``file_exists``, `RetryableError` for a full disk; then there is no file.
    """
    try:
        os.close(private(file, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise RequestError("file_exists", f"{file} exists; a backup takes a new name") from None
    except OSError as error:
        raise RetryableError(f"the backup {file}: {error.strerror or error}") from error
    try:
        with closing(sqlite3.connect(file)) as copy:
            database.copy_to(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
        _flush(file)
    except (sqlite3.Error, OSError) as error:
        for path in (file, *_beside(file)):
            path.unlink(missing_ok=True)
        raise RetryableError(f"the backup {file}: {error}") from error


def check_backup(file: Path) -> None:
    """Read a backup through. Raises `RequestError` (``not_found``, ``database_invalid``, ``database_version``)."""
    if not file.is_file():
        raise RequestError("not_found", f"there is no file {file}")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            version = copy.execute("PRAGMA user_version").fetchone()[0]
            faults = [row[0] for row in copy.execute("PRAGMA quick_check(3)")] if version else []
    except sqlite3.Error as error:
        raise RequestError("database_invalid", f"{file} is not a database: {error}") from error
    if version != SCHEMA_VERSION:
        message = f"{file} has version {version}; this program works with version {SCHEMA_VERSION}"
        raise RequestError("database_version", message)
    if faults != ["ok"]:
        raise RequestError("database_invalid", f"{file} is damaged: {'; '.join(faults)}")


def restore(backup: Path, path: Path, *, replace: bool = False) -> None:
    """Make ``path`` the database that ``backup`` is a copy of, in one step: a death in between leaves what was there.

    Work that was under way when the copy was made counts as lost with its worker. ``replace``: there may be a database
    at ``path``, which goes. Raises `RequestError`: as `check_backup`, ``database_locked`` (a server runs on it),
    ``file_exists``.
    """
    check_backup(backup)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    beside = path.with_name(f".{path.name}.restored")
    try:
        if path.exists() and not replace:
            raise RequestError("file_exists", f"there is a database {path}; --force replaces it")
        os.close(private(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        shutil.copyfile(backup, beside)
        _flush(beside)
        for side in _beside(path):  # before the file: they are the old one's, and would be read with the new one
            side.unlink(missing_ok=True)
        os.replace(beside, path)
    except OSError as error:
        raise RetryableError(f"{path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
        lock.release()


def _beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + suffix) for suffix in SIDE_FILES]


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
