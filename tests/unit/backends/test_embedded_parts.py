"""What the embedded backend promises beyond the ports."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from tests.alive import made_meanwhile

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.blobs import EmbeddedBlobs
from workflow_runtime.backends.embedded.bus import RECENT_EVENTS_MAX
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.embedded.mailboxes import STALE_ENTRIES_MAX, StoredMessage
from workflow_runtime.deployment.topology import DISPATCH, TOPOLOGY, Queue, Topology
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import BusEvent, Item, Key, Message


def test_the_next_visible_time_is_exact_and_in_the_past_when_something_is_ready():
    clock = VirtualClock(1000)
    with open_backend(None, clock) as backend:
        queues, poller = backend.ports.queues, backend.poller
        queues.send("node-tool", [Message("later", delay_seconds=60)])
        queues.send("node-agent", [Message("soon", delay_seconds=30)])
        assert poller.next_visible_at() == 31_000
        queues.send(DISPATCH, [Message("x", group="g", deduplication_id="x")])
        assert poller.next_visible_at() <= clock.now()
        (record,) = poller.receive(DISPATCH, 1)
        assert poller.next_visible_at() == 31_000
        queues.set_visibility(DISPATCH, {record.receipt_handle: 5})
        assert poller.next_visible_at() == 6_000


def test_a_queue_that_feeds_no_function_wakes_nobody():
    with open_backend(None, VirtualClock(0), Topology(queues=(Queue("unread", 30),), functions=())) as backend:
        backend.ports.queues.send("unread", [Message("x")])
        assert backend.poller.next_visible_at() is None


def test_a_dead_letter_names_the_queue_it_came_from():
    clock = VirtualClock(0)
    queue = TOPOLOGY.queue("node-tool")
    with open_backend(None, clock) as backend:
        backend.ports.queues.send("node-tool", [Message("poison")])
        for _ in range(queue.receives_max):
            assert len(backend.poller.receive("node-tool", 1)) == 1
            clock.advance_to(clock.now() + queue.visibility_seconds * 1000)
        assert backend.poller.receive("node-tool", 1) == []
        (dead,) = backend.poller.receive("dead-letters", 1)
        attributes = dead.event_record["attributes"]
        assert attributes["DeadLetterQueueSourceArn"] == "arn:aws:sqs:local:000000000000:node-tool"
        assert attributes["ApproximateReceiveCount"] == "1"


def test_groups_take_turns():
    with open_backend(None, VirtualClock(0)) as backend:
        messages = [Message(f"{g}{n}", group=g, deduplication_id=f"{g}{n}") for n in range(3) for g in "ab"]
        backend.ports.queues.send(DISPATCH, messages)
        seen = []
        while records := backend.poller.receive(DISPATCH, 1):
            seen += [record.event_record["body"] for record in records]
            backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])
        assert seen == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_deleted_messages_leave_nothing_behind_before_their_timeout():
    with open_backend(None, VirtualClock(0)) as backend, made_meanwhile(StoredMessage) as alive:
        for _ in range(10 * STALE_ENTRIES_MAX):
            backend.ports.queues.send("node-tool", [Message("x")])
            (record,) = backend.poller.receive("node-tool", 1)
            backend.poller.delete("node-tool", [record.receipt_handle])
        assert alive() <= STALE_ENTRIES_MAX + 1


def test_runs_in_memory_repeat_exactly():
    def run() -> list[object]:
        with open_backend(None, VirtualClock(5)) as backend:
            backend.ports.queues.send("node-tool", [Message("x"), Message("y")])
            backend.ports.bus.publish([BusEvent("s", "t", "{}")])
            records = [record.event_record for record in backend.poller.receive("node-tool", 10)]
            return [records, backend.bus_events(), backend.ports.boot]

    assert run() == run()


def test_subscribers_hear_events_until_they_end_it():
    with open_backend(None, VirtualClock(0)) as backend:
        heard: list[object] = []
        end = backend.bus.subscribe(lambda event: heard.append(event["detail"]))
        backend.ports.bus.publish([BusEvent("s", "t", '{"n": 1}')])
        end()
        backend.ports.bus.publish([BusEvent("s", "t", '{"n": 2}')])
        assert heard == [{"n": 1}]


def test_the_bus_keeps_only_the_last_events():
    with open_backend(None, VirtualClock(0)) as backend:
        backend.ports.bus.publish([BusEvent("s", "t", f'{{"n": {n}}}') for n in range(RECENT_EVENTS_MAX + 5)])
        events = backend.bus_events()
        assert len(events) == RECENT_EVENTS_MAX
        assert events[-1]["detail"] == {"n": RECENT_EVENTS_MAX + 4}


def test_large_objects_are_stored_in_chunks():
    database = Database(None)
    blobs = EmbeddedBlobs(database, VirtualClock(0), chunk_bytes=10)
    blobs.put("k", b"0123456789" * 3 + b"end")
    blobs.put("k", b"0123456789" * 3 + b"end")
    assert blobs.get("k") == b"0123456789" * 3 + b"end"
    assert database.read_one("SELECT count(*) FROM blobs", ()) == (4,)
    database.close()


def test_a_failed_write_leaves_all_of_it_undone_and_may_be_tried_again():
    database = Database(None)
    insert = "INSERT INTO items (partition, sort, attributes) VALUES (?, ?, x'80')"
    with pytest.raises(sqlite3.IntegrityError):
        database.write_all((insert, [("P", "1")]), (insert, [("P", "2"), ("P", "1")]))
    assert database.read("SELECT * FROM items") == []
    with pytest.raises(RetryableError, match="no such table"):
        database.write("INSERT INTO missing VALUES (?)", (1,))
    database.write(insert, ("P", "1"))
    database.close()


def test_a_message_that_could_not_be_stored_is_not_delivered():
    with open_backend(None, VirtualClock(0)) as backend:
        backend.database.write("ALTER TABLE messages RENAME TO hidden", ())
        with pytest.raises(RetryableError):
            backend.ports.queues.send(DISPATCH, [Message("x", group="g", deduplication_id="x")])
        backend.database.write("ALTER TABLE hidden RENAME TO messages", ())
        assert backend.poller.receive(DISPATCH, 1) == []
        backend.ports.queues.send(DISPATCH, [Message("x", group="g", deduplication_id="x")])
        assert len(backend.poller.receive(DISPATCH, 1)) == 1


def test_a_message_whose_receive_could_not_be_counted_stays_where_it_was():
    with open_backend(None, VirtualClock(0)) as backend:
        backend.ports.queues.send("node-tool", [Message("x")])
        backend.database.write("ALTER TABLE messages RENAME TO hidden", ())
        with pytest.raises(RetryableError):
            backend.poller.receive("node-tool", 1)
        backend.database.write("ALTER TABLE hidden RENAME TO messages", ())
        (record,) = backend.poller.receive("node-tool", 1)
        assert record.event_record["attributes"]["ApproximateReceiveCount"] == "1"


def test_threads_may_share_a_backend():
    with open_backend(None) as backend:
        table, queues = backend.ports.table, backend.ports.queues

        def work(name: str) -> None:
            for number in range(50):
                table.put(Item(Key(name, f"{number:03d}"), {"n": number}))
                queues.send("node-tool", [Message(f"{name}{number}"), Message(f"{name}-{number}")])

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(len(table.query(name)) for name in "abcd") == 200
        received = 0
        while records := backend.poller.receive("node-tool", 10):
            received += len(records)
        assert received == 400
