"""Items: what stands in them, what lies beside them, and which write wins."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.limits import item_bytes
from workflow_runtime.compiler import compile_workflow
from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.commands import SetStatus
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import NodeError
from workflow_runtime.plan.plan import Plan
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore, StateTooLarge
from workflow_runtime.storage.payloads import (
    INLINE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    pack,
    pack_bytes,
    put_payload,
    unpack,
)
from workflow_runtime.storage.records import Globals, Header, Run, RunStatus
from workflow_runtime.storage.runs import RunStore
from workflow_runtime.storage.workflows import CHUNK_BYTES_MAX, WorkflowStore

ITEM_BYTES_PLANNED_MAX = 350 * 1024


@pytest.fixture
def backend() -> Iterator[Backend]:
    with open_backend(None, VirtualClock(0)) as opened:
        yield opened


@pytest.fixture
def store(backend: Backend) -> ExecutionStore:
    return ExecutionStore(backend.ports.table, backend.ports.blobs)


def noise(size: int) -> str:
    """Text that does not compress below about ``size`` bytes."""
    return random.Random(7).randbytes(size).hex()


def plan(nodes: int = 1) -> Plan:
    lines = "".join(f"    - {{id: n{number}, type: tool, tool: echo}}\n" for number in range(nodes))
    compiled = compile_workflow(f"workflow:\n  id: w\n  nodes:\n{lines}".encode(), file="").plan
    assert compiled is not None
    return compiled


def state(version: int, kept: Any = None) -> ExecutionState:
    fresh = new_execution(plan(), "ex", 1, 0)
    fresh.version = version
    fresh.graph().values = {0: kept} if kept is not None else {}
    return fresh


def entry(version: int, commit_id: str = "c1", text: str = "") -> JournalEntry:
    return JournalEntry(version, commit_id, 0, refused=(("e", text),) if text else ())


class Test_payloads:
    def test_small_ones_stand_in_the_item_large_ones_in_the_blob_store(self, backend: Backend) -> None:
        blobs = backend.ports.blobs
        assert put_payload(blobs, "k", pack("x" * 100_000)) != "k", "it compresses well"
        incompressible = noise(INLINE_BYTES_MAX)
        assert put_payload(blobs, "k", pack(incompressible)) == "k"
        assert unpack(blobs.get("k")) == incompressible

    @pytest.mark.parametrize("value", [None, 0, "", "文" * 200, [], {"a": [1.5, True]}, "x" * 257])
    def test_every_json_value_comes_back(self, value: Any) -> None:
        assert unpack(pack(value)) == value

    def test_there_is_a_limit(self) -> None:
        with pytest.raises(NodeError, match=f"{PAYLOAD_BYTES_MAX:,}"):
            pack_bytes(bytes(PAYLOAD_BYTES_MAX + 1))


class Test_commits:
    def test_only_the_next_version_can_be_committed(self, store: ExecutionStore) -> None:
        assert store.commit(state(1), entry(1))
        assert not store.commit(state(1), entry(1, "c2")), "somebody else was first"
        assert store.commit(state(1), entry(1, "c1")), "it was our own, the answer was lost"
        assert not store.commit(state(3), entry(3, "c4"))
        assert store.commit(state(2), entry(2, "c3"))

    def test_a_commit_is_published_once_its_journal_entry_stands(self, store: ExecutionStore) -> None:
        for version in (1, 2):
            store.commit(state(version), entry(version))
            stored = store.load("ex")
            assert stored is not None
            assert (stored.state.version, stored.published) == (version, False)
            store.mark_published("ex", stored.last)
            stored = store.load("ex")
            assert stored is not None
            assert stored.published
        assert [each.version for each in store.journal("ex")] == [1, 2]

    @pytest.mark.parametrize(
        ("state_size", "entry_size"), [(90_000, 45_000), (300_000, 10), (10, 200_000), (300_000, 200_000)]
    )
    def test_no_item_grows_beyond_its_bound_and_large_parts_come_back(
        self, backend: Backend, store: ExecutionStore, state_size: int, entry_size: int
    ) -> None:
        large, last = state(1, noise(state_size)), entry(1, "c1", noise(entry_size))
        assert store.commit(large, last)
        store.mark_published("ex", last)
        stored = store.load("ex")
        assert stored is not None
        assert (stored.state, stored.last) == (large, last)
        assert store.journal("ex") == [last]
        for item in backend.ports.table.query("EX#ex"):
            assert item_bytes(item) <= ITEM_BYTES_PLANNED_MAX

    def test_a_state_has_a_limit(self, store: ExecutionStore) -> None:
        with pytest.raises(StateTooLarge):
            store.commit(state(1, noise(5_000_000)), entry(1))


class Test_headers:
    def header(self, store: ExecutionStore) -> Header:
        header = Header(
            execution_id="ex",
            workflow_id="流程",
            workflow_version=1,
            plan_hash="p",
            status=ExecutionStatus.PENDING,
            started_at=5,
        )
        return store.create(header, Globals({}))

    def test_a_slow_dispatcher_cannot_turn_a_header_back(self, store: ExecutionStore) -> None:
        header = self.header(store)
        store.set_status(header, [SetStatus("completed", 9, output={"x": 1})], 4)
        store.set_status(header, [SetStatus("running", 6)], 1)
        found = store.header("ex")
        assert found is not None
        assert (found.status, found.ended_at) == ("completed", 9)


class Test_runs:
    def run(self, **fields: Any) -> Run:
        return Run(**{"path": "a", "serial": 1, "status": RunStatus.RUNNING, "owner": "w1", "started_at": 1, **fields})

    @pytest.fixture
    def runs(self, backend: Backend) -> RunStore:
        return RunStore(backend.ports.table, backend.ports.blobs)

    def test_p2_a_recorded_result_stays_whoever_writes_next(self, runs: RunStore) -> None:
        assert runs.claim("ex", self.run())
        assert not runs.claim("ex", self.run(owner="w2"))
        assert runs.finish("ex", self.run(status=RunStatus.SUCCESS, output=1), "w1")
        lost = self.run(status=RunStatus.FAILED, owner="w2")
        assert not runs.finish("ex", lost, "w1"), "the second to end it had seen it running"
        assert not runs.renew("ex", self.run(), 99)
        found = runs.get("ex", "a", 1)
        assert found is not None
        assert (found.status, found.output, found.owner, found.lease_until) == ("success", 1, "w1", 0)

    def test_p2_a_worker_that_was_given_up_can_neither_renew_nor_record(self, runs: RunStore) -> None:
        runs.claim("ex", self.run())
        assert runs.finish("ex", self.run(status=RunStatus.FAILED, owner="w2"), "w1")
        assert not runs.renew("ex", self.run(), 99)
        assert not runs.finish("ex", self.run(status=RunStatus.SUCCESS, output=1), "w1")

    def test_large_outputs_come_back_and_runs_are_listed_by_path_and_serial(self, runs: RunStore) -> None:
        large = {"text": noise(50_000)}
        for path, serial in (("b", 1), ("a", 2), ("a", 1)):
            run = self.run(path=path, serial=serial)
            runs.claim("ex", run)
            runs.finish("ex", self.run(path=path, serial=serial, status=RunStatus.SUCCESS, output=large), "w1")
        listed = runs.list("ex")
        assert [(run.path, run.serial) for run in listed] == [("a", 1), ("a", 2), ("b", 1)]
        assert all(run.output == large for run in listed)


class Test_workflows:
    def test_a_plan_beyond_one_item_is_stored_in_chunks_and_comes_back(self, backend: Backend) -> None:
        shuffled = random.Random(3)
        lines = "".join(
            f"    - {{id: n{number}, type: tool, tool: echo, inputs: {{x: {shuffled.randbytes(400).hex()}}}}}\n"
            for number in range(1000)
        )
        compiled = compile_workflow(f"workflow:\n  id: w\n  nodes:\n{lines}".encode(), file="").plan
        assert compiled is not None
        table = backend.ports.table
        WorkflowStore(table).publish(compiled, b"source", 0)
        chunks = table.query(f"PLAN#{compiled.hash}", keys.PLAN_PART)
        assert len(chunks) > 1
        assert max(map(item_bytes, chunks)) <= CHUNK_BYTES_MAX + 1024
        assert WorkflowStore(table).plan(compiled.hash) == compiled

    def test_a_version_whose_publisher_died_before_pointing_at_it_keeps_its_number(self, backend: Backend) -> None:
        store = WorkflowStore(backend.ports.table)
        store.publish(plan(1), b"", 0)
        other, third = plan(2), plan(3)
        dead = store.publish(other, b"", 1)
        pointer = keys.workflow("w")
        item = backend.ports.table.get([pointer])[pointer]
        backend.ports.table.put(type(item)(pointer, {**item.attributes, "latest": 1}))  # as if it had died there
        assert store.publish(third, b"", 2).number == 3
        assert store.version("w", 2) == dead

    def test_an_unknown_plan_is_a_key_error(self, backend: Backend) -> None:
        with pytest.raises(KeyError):
            WorkflowStore(backend.ports.table).plan("0" * 40)


def test_keys_of_any_text_are_safe_and_never_collide() -> None:
    texts = ["a", "a#b", "~a", "订单", "x" * 300, "x" * 301, "~" + "0" * 40]
    assert len({keys.safe(text) for text in texts}) == len(texts)
    assert all(keys.safe(text).isascii() and "#" not in keys.safe(text) for text in texts)
    assert keys.journal("ex", 2) < keys.journal("ex", 10) < keys.execution("ex", keys.STATE)
