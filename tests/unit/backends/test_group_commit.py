"""Group commit: what one thread writes in a group is one transaction, which nobody outside sees before its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Item, Key, Message

KEY = Key("p", "s")
COUNT = "SELECT count(*) FROM items WHERE partition = 'p'"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with open_backend(tmp_path / "state.db") as opened:
        yield opened


def item(sort: str) -> Item:
    return Item(Key(KEY.partition, sort), {"x": 1})


def size_of_log(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


def test_what_a_group_writes_reaches_the_file_at_its_end(backend: Backend, tmp_path: Path) -> None:
    before = size_of_log(tmp_path / "state.db")
    with backend.ports.grouped():
        for number in range(3):
            backend.ports.table.put(item(str(number)))
        backend.ports.table.put_all([item("a"), item("b")])
        assert backend.ports.table.query(KEY.partition), "its own thread sees it"
        assert size_of_log(tmp_path / "state.db") == before
    assert size_of_log(tmp_path / "state.db") > before
    assert backend.database.read(COUNT) == [(5,)]


def test_what_was_written_before_an_error_stays_as_it_would_alone(backend: Backend) -> None:
    def fail_half_way() -> None:
        with backend.ports.grouped():
            backend.ports.table.put(item("a"))
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert backend.database.read(COUNT) == [(1,)]


def test_a_batch_that_cannot_be_written_leaves_the_rest_of_its_group(backend: Backend) -> None:
    with backend.ports.grouped():
        backend.ports.table.put(item("a"))
        with pytest.raises(UnicodeEncodeError):
            backend.database.write_all(
                ("INSERT INTO items (partition, sort, attributes) VALUES (?, ?, '')", [("p", "b"), ("p", "\ud800")])
            )
        backend.ports.table.put(item("c"))
    assert [found.key.sort for found in backend.ports.table.query(KEY.partition)] == ["a", "c"]


def test_another_thread_meets_what_was_written_so_far_committed(backend: Backend, tmp_path: Path) -> None:
    before = size_of_log(tmp_path / "state.db")
    seen: list[tuple[int, bool]] = []

    def look() -> None:
        ((count,),) = backend.database.read(COUNT)
        seen.append((count, size_of_log(tmp_path / "state.db") > before))

    with backend.ports.grouped():
        backend.ports.table.put(item("a"))
        other = threading.Thread(target=look)
        other.start()
        other.join()
        backend.ports.table.put(item("b"))
    assert seen == [(1, True)]
    assert backend.database.read(COUNT) == [(2,)]


def test_a_group_that_is_lost_is_told_of_and_its_messages_are_forgotten(backend: Backend) -> None:
    backend.ports.queues.send(DISPATCH, [Message("kept", group="e", deduplication_id="1")])
    (record,) = backend.poller.receive(DISPATCH, 10)

    def lose() -> None:
        with backend.ports.grouped():
            backend.ports.queues.send(DISPATCH, [Message("lost", group="f", deduplication_id="2")])
            backend.poller.delete(DISPATCH, [record.receipt_handle])
            backend.database.write("ROLLBACK", ())  # as SQLite does by itself for some faults of a file
            with pytest.raises(RetryableError):
                backend.database.write("no statement", ())

    with pytest.raises(RetryableError):
        lose()
    (again,) = backend.poller.receive(DISPATCH, 10)
    assert again.event_record["body"] == "kept", "what was in flight is delivered again"
