"""Group commit: what one thread writes in a group, or tasks in one turn of their loop, is one transaction, which nobody
outside sees before its end."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.seeds import for_seeds

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Absent, ConditionFailed, Equals, Item, Key, Message, Present, Put

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


def committed(backend: Backend) -> int:
    """How many items another thread finds in the file."""
    found: list[int] = []

    def look() -> None:
        with backend.database.lock:
            found.append(backend.database.read(COUNT)[0][0])

    other = threading.Thread(target=look)
    other.start()
    other.join()
    return found[0]


def test_what_tasks_write_in_one_turn_is_one_transaction_before_any_of_them_goes_on(
    backend: Backend, tmp_path: Path
) -> None:
    put, path = backend.ports.table.put, tmp_path / "state.db"
    before = size_of_log(path)
    sizes: list[int] = []

    def put_and_look(sort: str) -> None:
        put(item(sort))
        sizes.append(size_of_log(path))

    async def write(sort: str) -> int:
        await backend.ports.offload(put_and_look, sort)
        return size_of_log(path)

    async def write_all() -> list[int]:
        return await asyncio.gather(*(write(str(number)) for number in range(3)))

    after = asyncio.run(write_all())
    assert sizes == [before] * 3, "nothing is committed before all have written"
    assert min(after) > before
    assert len(set(after)) == 1
    assert committed(backend) == 3


def test_a_task_that_writes_again_and_again_does_not_wait_for_others(backend: Backend) -> None:
    seen: list[bool] = []

    async def write() -> None:
        await backend.ports.offload(backend.ports.table.put, item("first"))
        task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(seen.append, True)
        await backend.ports.offload(backend.ports.table.put, item("second"))
        assert task is asyncio.current_task()
        assert not seen, "the loop did not turn"
        assert committed(backend) == 2

    asyncio.run(write())


def test_what_is_lost_is_told_to_all_who_wrote_it_and_remembered_by_nobody(backend: Backend) -> None:
    table, queues = backend.ports.table, backend.ports.queues

    def send() -> None:
        table.put(item("c"))
        queues.send(DISPATCH, [Message("lost", group="e", deduplication_id="1")])

    def lose() -> None:
        backend.database.write("ROLLBACK", ())  # as SQLite does by itself for some faults of a file
        with pytest.raises(RetryableError):
            backend.database.write("no statement", ())

    async def all_of_them() -> list[object]:
        put = backend.ports.offload
        calls = (put(table.put, item("a")), put(table.put, item("b")), put(send), put(lose))
        return await asyncio.gather(*calls, return_exceptions=True)

    told = asyncio.run(all_of_them())
    assert [type(each) for each in told] == [RetryableError] * 4
    assert table.get([Key(KEY.partition, sort) for sort in "abc"]) == {}
    assert backend.poller.receive(DISPATCH, 10) == []
    table.put(item("a"))
    assert committed(backend) == 1


def test_a_message_is_not_received_before_it_is_committed(backend: Backend) -> None:
    received: list[tuple[int, int]] = []

    def send() -> None:
        backend.ports.table.put(item("a"))
        backend.ports.queues.send(DISPATCH, [Message("sent", group="e", deduplication_id="1")])
        asyncio.get_running_loop().call_soon(receive)

    def receive() -> None:
        records = backend.poller.receive(DISPATCH, 10)
        received.append((len(records), committed(backend)))

    asyncio.run(backend.ports.offload(send))
    assert received == [(1, 1)]


@for_seeds(range(4))
def test_rows_kept_in_memory_are_those_of_the_file(backend: Backend, seed: int) -> None:
    """Any order of writes, refused and lost ones among them, reads as a second look past what is kept does."""
    chance, table = random.Random(seed), backend.ports.table
    keys = [Key("p", str(number)) for number in range(4)]
    for step in range(400):
        key, large = chance.choice(keys), b"x" * chance.choice((1, 5_000))
        new = Item(key, {"step": step, "data": large})
        with suppress(ConditionFailed):
            match chance.randrange(8):
                case 0:
                    table.put(new)
                case 1:
                    table.put(new, Absent())
                case 2:
                    table.put(new, Equals("step", step - 1))
                case 3:
                    table.update(key, {"changed": step}, Present("step"))
                case 4:
                    table.put_all([Item(each, new.attributes) for each in keys[:2]])
                case 5:
                    table.delete(key, Present("step"))
                case 6:
                    table.delete_all(keys[1:3])
                case 7:
                    table.transact([Put(new, None), Put(Item(keys[0], {"step": -1}), None)] if key != keys[0] else [])
        rows = {item.key: item for item in table.query("p")}  # what a query reads is not kept
        assert table.get(keys) == rows, f"step {step}"
