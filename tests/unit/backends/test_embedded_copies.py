"""Backups of the embedded database: whole whatever is written meanwhile, and put back in one step."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.copies import back_up, check_backup, restore
from workflow_runtime.errors import RequestError, RetryableError

PAIRS = 300
FILLING = "x" * 20_000  # the copy takes many steps


def pair(backend: Backend, number: int, value: int) -> None:
    """Two items that are always written together."""
    rows = [(f"{half}{number}", "s", str(value).encode()) for half in ("a", "b")]
    backend.database.write_all(("INSERT OR REPLACE INTO items (partition, sort, attributes) VALUES (?, ?, ?)", rows))


def test_a_copy_holds_whole_transactions_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    ended = threading.Event()
    with open_backend(tmp_path / "a.db") as backend:
        for number in range(PAIRS):
            pair(backend, number, 0)
            backend.database.write("INSERT INTO blobs (key, chunk, data) VALUES (?, 0, ?)", (str(number), FILLING))

        def write() -> None:
            value = 0
            while not ended.is_set():
                value += 1
                with backend.database.lock:
                    pair(backend, value % PAIRS, value)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            back_up(backend.database, tmp_path / "copy.db")
        finally:
            ended.set()
            writer.join()
    check_backup(tmp_path / "copy.db")
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    with open_backend(tmp_path / "copy.db") as copy:
        rows = dict(copy.database.read("SELECT partition, attributes FROM items"))
        assert len(rows) == 2 * PAIRS
        assert all(rows[f"a{number}"] == rows[f"b{number}"] for number in range(PAIRS))


def test_a_backup_takes_a_new_name_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    with open_backend(tmp_path / "a.db") as backend:
        (tmp_path / "there.db").touch()
        with pytest.raises(RequestError, match="takes a new name"):
            back_up(backend.database, tmp_path / "there.db")
        with pytest.raises(RetryableError):
            back_up(backend.database, tmp_path / "no" / "folder.db")


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "database_version"), (b"no database at all" * 100, "database_invalid")]
)
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "b.db").write_bytes(content)
    with pytest.raises(RequestError) as raised:
        restore(tmp_path / "b.db", tmp_path / "a.db")
    assert raised.value.code == code
    assert not (tmp_path / "a.db").exists()


def test_a_damaged_backup_is_noticed(tmp_path: Path) -> None:
    with open_backend(tmp_path / "a.db") as backend:
        for number in range(PAIRS):
            pair(backend, number, 0)
        back_up(backend.database, tmp_path / "b.db")
    data = bytearray((tmp_path / "b.db").read_bytes())
    data[8192:12288] = b"\xff" * 4096
    (tmp_path / "b.db").write_bytes(data)
    with pytest.raises(RequestError, match=r"damaged|not a database"):
        check_backup(tmp_path / "b.db")


def test_a_database_is_replaced_only_by_force_and_never_under_a_server(tmp_path: Path) -> None:
    with open_backend(tmp_path / "a.db") as backend:
        pair(backend, 1, 1)
        back_up(backend.database, tmp_path / "b.db")
        pair(backend, 1, 2)
        with pytest.raises(RequestError, match="is in use by"):
            restore(tmp_path / "b.db", tmp_path / "a.db", replace=True)
    with pytest.raises(RequestError, match="--force replaces it"):
        restore(tmp_path / "b.db", tmp_path / "a.db")
    restore(tmp_path / "b.db", tmp_path / "a.db", replace=True)
    with open_backend(tmp_path / "a.db") as backend:
        assert backend.database.read("SELECT attributes FROM items WHERE partition = 'a1'") == [(b"1",)]


def test_nothing_of_a_database_that_was_killed_is_read_with_the_one_that_replaces_it(tmp_path: Path) -> None:
    with open_backend(tmp_path / "a.db") as backend:
        pair(backend, 1, 1)
        back_up(backend.database, tmp_path / "b.db")
        pair(backend, 1, 2)
        log = (tmp_path / "a.db-wal").read_bytes()  # which a process that is killed leaves behind
    (tmp_path / "a.db-wal").write_bytes(log)
    restore(tmp_path / "b.db", tmp_path / "a.db", replace=True)
    assert not (tmp_path / "a.db-wal").exists()
    with open_backend(tmp_path / "a.db") as backend:
        assert backend.database.read("SELECT attributes FROM items WHERE partition = 'a1'") == [(b"1",)]
