"""Nothing of a living execution expires; all of an ended one is gone within one to two retentions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import GAP_MS, STEADY_MS, Backend, Expiry, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.settings import RETENTION_DAYS
from workflow_runtime.engine.commands import AskApproval, SetStatus
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.ports import Absent, Change, Equals, Item, Key
from workflow_runtime.runtime.services import EnvironmentSecrets, Runtime
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import SHARDS
from workflow_runtime.storage.payloads import pack_bytes
from workflow_runtime.storage.retention import DAY_MS, RENEWED_AT_ONCE, ExpiringTable, Retention
from workflow_runtime.storage.stores import Stores

START = 1_700_000_000_000
DAYS = RETENTION_DAYS  # that of the embedded blob store
RETENTION_MS = DAYS * DAY_MS
HOUR_MS = 3600 * 1000
WAITS = """
workflow:
  id: 等
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {x: "${text}"}}
    - {id: w, type: control, subtype: wait, duration: 300d, dependencies: [a]}
"""


@pytest.fixture
def backend() -> Iterator[Backend]:
    with open_backend(None, VirtualClock(START)) as opened:
        yield opened


def advance(backend: Backend, ms: int) -> None:
    backend.ports.clock.advance_to(backend.ports.clock.now() + ms)  # type: ignore[attr-defined]


def expire(backend: Backend) -> None:
    """What AWS does by itself."""
    backend.database.expire(backend.ports.clock.now() // 1000)


def expiring(backend: Backend) -> ExpiringTable:
    return ExpiringTable(backend.ports.table, Retention(backend.ports.clock.now, DAYS))


def services(backend: Backend) -> Runtime:
    return Runtime(backend.ports, dict, secrets=EnvironmentSecrets({}), retention_days=DAYS)


def all_items(backend: Backend, execution_id: str) -> list[Item]:
    return backend.ports.table.query(f"EX#{execution_id}")


def sweep(backend: Backend) -> None:
    runtime = services(backend)
    for shard in range(SHARDS):
        runtime.sweep.sweep(shard)


def started(backend: Backend) -> str:
    runtime = services(backend)
    runtime.catalog.publish(WAITS.encode())
    return runtime.starter.start("等", {"text": "".join(map(chr, range(0x4E00, 0x9000)))})


@pytest.mark.parametrize("write", ["put", "put_all", "update", "change"])
def test_whatever_is_written_for_an_execution_is_written_to_expire(backend: Backend, write: str) -> None:
    table = expiring(backend)
    mine, shared = Key("EX#e", "S"), Key("LIMIT#e", "S")
    for key in (mine, shared):
        if write == "put":
            table.put(Item(key, {"n": 1}), Absent())
        elif write == "put_all":
            table.put_all([Item(key, {"n": 1})])
        elif write == "change":
            table.change(key, Change(add={"n": 1}))
        else:
            backend.ports.table.put(Item(key, {"n": 0}))
            table.update(key, {"n": 1}, Equals("n", 0))
    found = backend.ports.table.get([mine, shared])
    assert found[mine].attributes == {"n": 1, keys.EXPIRES: (START + 2 * RETENTION_MS) // 1000}
    assert found[shared].attributes == {"n": 1}


def test_what_has_a_time_of_its_own_keeps_it(backend: Backend) -> None:
    table = expiring(backend)
    key = keys.applied("e", "id")
    table.put(Item(key, {keys.EXPIRES: 5}))
    assert backend.ports.table.get([key])[key].attributes == {keys.EXPIRES: 5}


def test_a_living_execution_loses_nothing_and_an_ended_one_all_within_two_retentions(backend: Backend) -> None:
    execution_id = started(backend)
    runtime = services(backend)
    whole = {item.key for item in all_items(backend, execution_id)}
    objects = runtime.ports.blobs.list(f"executions/{execution_id}/", "", 10)
    assert objects
    for _ in range(5 * DAYS):  # five retentions, looked at every day
        advance(backend, DAY_MS)
        sweep(backend)
        expire(backend)
        assert {item.key for item in all_items(backend, execution_id)} >= whole
        assert runtime.ports.blobs.list(f"executions/{execution_id}/", "", 10) == objects
    header = runtime.documents.header(execution_id)
    ended = SetStatus(ExecutionStatus.CANCELLED, backend.ports.clock.now())
    runtime.stores.executions.set_status(header, [ended], header.state_version + 1)
    advance(backend, RETENTION_MS - DAY_MS)
    sweep(backend)
    expire(backend)
    assert {item.key for item in all_items(backend, execution_id)} >= whole - {keys.execution(execution_id, keys.DUE)}
    advance(backend, RETENTION_MS + 2 * DAY_MS)
    expire(backend)
    assert all_items(backend, execution_id) == []
    assert runtime.ports.blobs.list(f"executions/{execution_id}/", "", 10) == []


def test_a_renewal_writes_each_item_once_a_retention(backend: Backend) -> None:
    execution_id = started(backend)
    advance(backend, RETENTION_MS + HOUR_MS)
    sweep(backend)
    renewed = [item.attributes[keys.EXPIRES] for item in all_items(backend, execution_id)]
    advance(backend, 2 * HOUR_MS)
    sweep(backend)
    after = {item.key.sort: item.attributes[keys.EXPIRES] for item in all_items(backend, execution_id)}
    del after[keys.DUE]  # moved with each look
    assert set(after.values()) <= set(renewed)


def test_a_large_execution_is_renewed_by_several_sweeps(backend: Backend) -> None:
    execution_id = started(backend)
    many = [Item(keys.journal(execution_id, number + 1), {"entry": b"x"}) for number in range(2 * RENEWED_AT_ONCE)]
    expiring(backend).put_all(many)
    advance(backend, RETENTION_MS + HOUR_MS)
    for _ in range(4):
        sweep(backend)
        advance(backend, 60_000)
    assert services(backend).documents.header(execution_id).renewed_at > START
    advance(backend, RETENTION_MS)
    expire(backend)
    assert len(all_items(backend, execution_id)) >= len(many)


def test_what_an_item_holds_of_another_execution_is_renewed_with_it(backend: Backend) -> None:
    execution_id = started(backend)
    backend.ports.blobs.put("executions/child/outputs/1", b"x")
    expiring(backend).put(Item(keys.run(execution_id, "c", 1), {"output": "executions/child/outputs/1"}))
    for _ in range(4):
        advance(backend, RETENTION_MS - HOUR_MS)
        sweep(backend)
        expire(backend)
    assert backend.ports.blobs.get("executions/child/outputs/1") == b"x"


def test_events_that_others_sent_keep_what_is_large_of_them(backend: Backend) -> None:
    """They wait while the execution is suspended, say, and who sent them has long ended."""
    execution_id = started(backend)
    stores = services(backend).stores
    sent = [f"executions/sender-{number}/outputs/c.0" for number in range(3)]
    kept, held, taken = (SignalReceived(f"s{n}", START, "go", blob=blob) for n, blob in enumerate(sent))
    for blob in sent:
        backend.ports.blobs.put(blob, blob.encode())
    stores.held.put(execution_id, [(1, held)])
    expiring(backend).put(Item(keys.journal(execution_id, 1), {"entry": pack_bytes(msgspec.json.encode([taken]))}))
    state = pack_bytes(msgspec.json.encode({"kept": [kept], "text": "x" * 1_000}))
    expiring(backend).put(Item(keys.execution(execution_id, keys.STATE), {"state": state}))
    renewal = stores.renewal
    for _ in range(4):
        advance(backend, RETENTION_MS - HOUR_MS)
        assert not renewal.renew(execution_id)
        expire(backend)
    assert [backend.ports.blobs.get(blob) for blob in sent] == [blob.encode() for blob in sent]


def test_an_execution_that_is_reopened_is_renewed_at_its_first_look(backend: Backend) -> None:
    execution_id = started(backend)
    runtime = services(backend)
    header = runtime.documents.header(execution_id)
    failed = SetStatus(ExecutionStatus.FAILED, START)
    runtime.stores.executions.set_status(header, [failed], 1)
    advance(backend, RETENTION_MS - 2 * DAY_MS)
    again = SetStatus(ExecutionStatus.RUNNING, backend.ports.clock.now(), reopened=2)
    runtime.stores.executions.set_status(header, [again], 2)
    advance(backend, 5 * 60_000)
    sweep(backend)
    advance(backend, RETENTION_MS + 3 * DAY_MS)
    expire(backend)
    assert {item.key.sort for item in all_items(backend, execution_id)} >= {keys.HEADER, keys.INPUT}


def test_what_begins_to_expire_is_not_reopened(backend: Backend) -> None:
    execution_id = started(backend)
    runtime = services(backend)
    header = runtime.documents.header(execution_id)
    runtime.stores.executions.set_status(header, [SetStatus(ExecutionStatus.FAILED, START)], 1)
    advance(backend, RETENTION_MS - DAY_MS)
    with pytest.raises(RequestError, match="expires") as refused:
        runtime.control.ask("retry", execution_id)
    assert refused.value.code == "refused"


@pytest.mark.parametrize("days", [1, 3, 90, 3650])
def test_what_may_be_reopened_is_all_there_and_stays_until_the_next_sweeps(days: int) -> None:
    """What was renewed last a retention before its end expires a retention after it."""
    now = 0
    retention = Retention(lambda: now, days)
    assert retention.may_reopen(0)
    now = days * DAY_MS - 6 * HOUR_MS
    assert not retention.may_reopen(0)


def test_a_file_is_rid_of_what_expired_only_after_an_hour_of_steady_ticks() -> None:
    clock = VirtualClock(START)
    with open_backend(None, clock) as backend:
        key = Key("EX#e", "S")
        backend.ports.table.put(Item(key, {keys.EXPIRES: START // 1000}))
        expiry = Expiry(backend.database, clock)
        for minute in range(STEADY_MS // 60_000 + 5):
            clock.advance_to(clock.now() + (GAP_MS + 1 if minute == 5 else 60_000))
            assert backend.ports.table.get([key])
            expiry.tick()
        clock.advance_to(clock.now() + 60_000)
        expiry.tick()
        assert backend.ports.table.get([key]) == {}


def test_an_approval_stored_by_an_earlier_version_still_says_until_when_it_may_be_answered(backend: Backend) -> None:
    stores = Stores(backend.ports, DAYS)
    header = replace(services(backend).documents.header(started(backend)), status=ExecutionStatus.RUNNING)
    asked = AskApproval(1, "check", 1, START, expires_at=START + 7)
    stores.approvals.note(header, 1, [asked])
    key = keys.approval(header.execution_id, 1)
    stored = backend.ports.table.get([key])[key]
    assert stored.attributes[keys.EXPIRES] == (START + 2 * RETENTION_MS) // 1000
    before = {name: value for name, value in stored.attributes.items() if name != "answer_until"}
    backend.ports.table.put(Item(key, {**before, keys.EXPIRES: START + 7}, stored.index))
    (found,) = stores.approvals.of_execution(header.execution_id)
    assert found.expires_at == START + 7
