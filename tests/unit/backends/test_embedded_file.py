"""A database file belongs to one live process, and outlives it whole, however it dies."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.database import DatabaseLocked
from workflow_runtime.errors import RequestError
from workflow_runtime.ports import Item, Key, Message

FUNCTIONS = Path(__file__).parents[3] / "functions"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_what_it_writes_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "private.db"
    with open_backend(path) as backend:
        backend.ports.table.put(Item(Key("EX#1", "STATE"), {"version": 1}))
        files = list(tmp_path.iterdir())
        assert {file.name for file in files} >= {"private.db", "private.db-wal", "private.db.lock"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


HOLDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.ports import Item, Key, Message
backend = open_backend(Path(sys.argv[1]))
ports = backend.ports
ports.table.put(Item(Key("EX#1", "STATE"), {"version": 1}))
ports.blobs.put("input", b"data")
ports.queues.send("node-tool", [Message("in flight"), Message("waiting"), Message("later", delay_seconds=900)])
ports.queues.send("dispatch.fifo", [Message(str(n), group="g", deduplication_id=str(n)) for n in range(3)])
backend.poller.receive("node-tool", 1)
record = backend.poller.receive("dispatch.fifo", 2)[0]
backend.poller.delete("dispatch.fifo", [record.receipt_handle])
print("holding", ports.boot, flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that opened the file, worked with it and keeps it open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(FUNCTIONS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holding boot-1\n"
    return process


def bodies(backend, queue: str) -> list[object]:
    return [record.event_record["body"] for record in backend.poller.receive(queue, 10)]


def test_a_second_opener_is_told_the_file_and_the_process(tmp_path):
    path = tmp_path / "runtime.db"
    process = hold(path)
    try:
        with pytest.raises(DatabaseLocked, match=f"{path}.*process {process.pid}") as caught:
            open_backend(path)
        assert isinstance(caught.value, RequestError)
        assert caught.value.code == "database_locked"
        assert caught.value.pid == process.pid
    finally:
        process.communicate("")
    open_backend(path).close()


def test_all_work_survives_a_killed_process(tmp_path):
    path = tmp_path / "runtime.db"
    process = hold(path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with open_backend(path) as backend:
        assert backend.ports.boot == "boot-2"
        assert backend.ports.table.get([Key("EX#1", "STATE")])[Key("EX#1", "STATE")].attributes == {"version": 1}
        assert backend.ports.blobs.get("input") == b"data"
        records = backend.poller.receive("node-tool", 10)
        counts = {each.event_record["body"]: each.event_record["attributes"] for each in records}
        assert counts["in flight"]["ApproximateReceiveCount"] == "2"
        assert counts["waiting"]["ApproximateReceiveCount"] == "1"
        assert "later" not in counts
        assert bodies(backend, "dispatch.fifo") == ["1", "2"]


def test_opening_twice_in_one_process_is_refused_too(tmp_path):
    path = tmp_path / "runtime.db"
    with open_backend(path), pytest.raises(DatabaseLocked):
        open_backend(path)


def test_closing_twice_is_fine(tmp_path):
    backend = open_backend(tmp_path / "runtime.db")
    backend.close()
    backend.close()


def test_directories_of_the_file_are_created(tmp_path):
    open_backend(tmp_path / "a" / "b" / "runtime.db").close()


def test_a_file_that_another_program_has_locked_is_refused(tmp_path):
    path = tmp_path / "runtime.db"
    open_backend(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(DatabaseLocked, match="another process"):
            open_backend(path)
    finally:
        other.close()
    open_backend(path).close()


def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "runtime.db"
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(RequestError, match="version 99") as caught:
        open_backend(path)
    assert caught.value.code == "database_version"
    with pytest.raises(RequestError, match="version 99"):  # the lock was released
        open_backend(path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and they are longer than the header of a database. " * 20)
    with pytest.raises(RequestError) as caught:
        open_backend(path)
    assert caught.value.code == "database_invalid"


def test_message_ids_and_order_go_on_after_reopening(tmp_path):
    path = tmp_path / "runtime.db"
    ids = []
    for number in range(3):
        with open_backend(path, VirtualClock(0)) as backend:
            message = Message(str(number), group="g", deduplication_id=str(number))
            backend.ports.queues.send("dispatch.fifo", [message])
            records = backend.poller.receive("dispatch.fifo", 10)
            assert [record.event_record["body"] for record in records] == [str(each) for each in range(number + 1)]
            ids.append([record.event_record["messageId"] for record in records])
    assert ids[2][:2] == ids[1]
    assert len(set(ids[2])) == 3


def test_long_bodies_and_chunked_objects_survive(tmp_path):
    path = tmp_path / "runtime.db"
    body = "中" * 20_000
    with open_backend(path) as backend:
        backend.ports.queues.send("node-tool", [Message(body)])
        backend.ports.table.put(Item(Key("P", "S"), {"a": 1}, Key("LIST", "1")))
    with open_backend(path) as backend:
        assert bodies(backend, "node-tool") == [body]
        assert len(backend.ports.table.query_index("LIST", "", limit=1)) == 1


def test_a_clock_that_went_back_hides_nothing(tmp_path):
    path = tmp_path / "runtime.db"
    with open_backend(path, VirtualClock(9_000_000)) as backend:
        backend.ports.queues.send("node-tool", [Message("new"), Message("in flight")])
        backend.poller.receive("node-tool", 1)
    with open_backend(path, VirtualClock(0)) as backend:
        assert sorted(map(str, bodies(backend, "node-tool"))) == ["in flight", "new"]
