"""The promises of `ports.Table.transact` and of `ports.Outlets`."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.contract.conftest import about

from workflow_runtime.ports import (
    Absent,
    BusMessage,
    ConditionFailed,
    EffectRefused,
    Equals,
    Item,
    Key,
    Put,
    QueueMessage,
    TableWrite,
)

KEY, OTHER = Key("EX#1", "RUN"), Key("EX#1", "OUT")
RECORD = Put(Item(KEY, {"status": "success"}), Equals("status", "running"))
MESSAGE = QueueMessage(id="m1", queue="work", body="中文")
EVENT = BusMessage(id="e1", bus="other", source="workflow", topic="已付", detail='{"n":1}')


def write(**fields: Any) -> TableWrite:
    return TableWrite(**{"table": "orders", "key": {"id": "A", "n": 1}, **fields})


def begin(harness: Any) -> None:
    harness.table.put(Item(KEY, {"status": "running"}))


def status(harness: Any) -> Any:
    return harness.table.get([KEY])[KEY].attributes["status"]


def written(harness: Any, *writes: TableWrite) -> list[dict[str, Any]]:
    """The items of the table after these writes."""
    for each in writes:
        harness.table.transact([Put(Item(KEY, {"status": "success"}))], each)
    found: list[dict[str, Any]] = harness.backend.items_of("orders")
    return found


def test_all_items_of_a_transaction_are_written(harness):
    begin(harness)
    outbox = Item(OTHER, {"to": "q"}, index=Key("OUTBOX", "1"))
    harness.table.transact([RECORD, Put(outbox)])
    assert status(harness) == "success"
    assert harness.table.get([OTHER]) == {OTHER: outbox}
    assert harness.table.query_index("OUTBOX", "", limit=1) == [outbox]


def test_with_them_an_item_of_another_table_is_written(harness):
    begin(harness)
    values = {"text": "中文", "zero": 0, "half": 0.5, "no": False, "none": None, "list": [1, "a", {"b": []}], "m": {}}
    harness.table.transact([RECORD], write(put=values))
    assert status(harness) == "success"
    [found] = harness.backend.items_of("orders")
    assert found == {"id": "A", "n": 1, **values}
    assert (type(found["no"]), type(found["zero"])) == (bool, int)


def test_a_condition_that_fails_leaves_everything_as_it_was(harness):
    begin(harness)
    with pytest.raises(ConditionFailed):
        harness.table.transact([Put(RECORD.item, Equals("status", "x")), Put(Item(OTHER, {}))], write(put={}))
    with pytest.raises(ConditionFailed):
        harness.table.transact([Put(Item(OTHER, {"n": 1})), Put(RECORD.item, Absent())])
    assert status(harness) == "running"
    assert harness.table.get([OTHER]) == {}
    assert harness.backend.items_of("orders") == []


def test_needs_that_do_not_hold_leave_everything_as_it_was(harness):
    begin(harness)
    for needs in ("present", {"a": 1}):
        with pytest.raises(EffectRefused) as refused:
            harness.table.transact([RECORD], write(put={"a": 1}, needs=needs))
        assert refused.value.type == "condition_failed"
    assert status(harness) == "running"
    assert harness.backend.items_of("orders") == []


def test_a_record_that_is_lost_counts_before_needs_that_are(harness):
    """A transaction whose answer was lost, and that is tried again: its own record says that it was done."""
    begin(harness)
    harness.table.transact([RECORD], write(put={}, needs="absent"))
    with pytest.raises(ConditionFailed):
        harness.table.transact([RECORD], write(put={}, needs="absent"))


@pytest.mark.parametrize(
    ("needs", "holds"),
    [
        ("present", True), ("absent", False), ({"a": 1}, True), ({"a": 1.0}, True), ({"a": True}, False),
        ({"a": "1"}, False), ({"a": 1, "list": [1, {"b": None}]}, True), ({"list": [1]}, False), ({"x": None}, False),
    ],
)  # fmt: skip
def test_needs_compare_by_type_and_value(harness, needs, holds):
    if not harness.embedded and isinstance(needs, dict) and (needs.get("a") is True or "x" in needs):
        pytest.skip("moto takes `true` for 1, and what is missing for null")
    written(harness, write(put={"a": 1, "list": [1, {"b": None}]}))
    if holds:
        assert written(harness, write(set={"ok": True}, needs=needs))[0]["ok"] is True
        return
    with pytest.raises(EffectRefused) as refused:
        written(harness, write(delete=True, needs=needs))
    assert refused.value.type == "condition_failed"


def test_changes_set_add_and_remove(harness):
    first = write(set={"a": "x", "gone": 1}, add={"count": 2})
    assert written(harness, first) == [{"id": "A", "n": 1, "a": "x", "gone": 1, "count": 2}]
    second = write(set={"a": [1]}, add={"count": 0.1, "more": -1}, remove=("gone", "never"))
    assert written(harness, second) == [{"id": "A", "n": 1, "a": [1], "count": 2.1, "more": -1}]
    assert written(harness, write(add={"count": 0.2})) == [{"id": "A", "n": 1, "a": [1], "count": 2.3, "more": -1}]


def test_a_put_replaces_the_item_and_a_delete_takes_it_away(harness):
    assert written(harness, write(put={"a": 1}), write(put={"b": 2})) == [{"id": "A", "n": 1, "b": 2}]
    assert written(harness, write(delete=True), write(delete=True)) == []


def test_keys_of_text_and_numbers_tell_items_apart(harness):
    keys = [{"id": "A", "n": 2}, {"id": "A", "n": 1.5}, {"id": "B", "n": 1}, {"id": "A", "n": 1.0}]
    assert len(written(harness, write(put={}), *(write(key=key, put={}) for key in keys))) == 4


WRONG = [
    {"key": {"other": "A"}, "put": {}}, {"key": {"id": 7, "n": 1}, "put": {}}, {"key": {"id": "A"}, "delete": True},
    {"key": {"id": "A", "n": 1, "x": 1}, "put": {}}, {"key": {"id": "", "n": 1}, "put": {}}, {"key": {}, "put": {}},
    {}, {"put": {}, "delete": True}, {"set": {"a": 1}, "remove": ("a",)}, {"set": {"id": "B"}}, {"put": {"": 1}},
    {"add": {"text": 1}}, {"put": {"a": "x" * 410_000}}, {"put": {"a": 1e200}}, {"put": {}, "table": "?"},
    {"put": {}, "needs": {}}, {"key": {"id": "x" * 2049, "n": 1}, "put": {}},
]  # fmt: skip


def test_what_no_table_takes_is_refused_and_nothing_is_written(harness):
    written(harness, write(set={"text": "a"}))
    begin(harness)
    for fields in WRONG:
        with about(fields):
            with pytest.raises(EffectRefused) as refused:
                harness.table.transact([RECORD], write(**fields))
            assert refused.value.type == "validation_error"
            assert len(refused.value.message) < 400
            assert status(harness) == "running"
            assert harness.backend.items_of("orders") == [{"id": "A", "n": 1, "text": "a"}]


def test_an_item_that_grows_too_large_is_refused(harness):
    written(harness, write(set={"a": "x" * 300_000}))
    with pytest.raises(EffectRefused) as refused:
        written(harness, write(set={"b": "x" * 200_000}))
    assert refused.value.type == "validation_error"


def test_messages_and_events_arrive_as_they_were_sent(harness):
    sent = replace(MESSAGE, group="g", delay_seconds=5, attributes={"kind": "新"})
    for message in (MESSAGE, sent):
        harness.outlets.send_message(message)
    harness.outlets.put_event(EVENT)
    assert harness.backend.messages_to("work") == [MESSAGE, sent]
    assert harness.backend.events_on("other") == [EVENT]
    assert harness.backend.messages_to("other") == []


REFUSED_MESSAGES = [
    {"queue": "no name"}, {"queue": "work.fifo"}, {"body": ""}, {"body": "a\0"}, {"body": "x" * (1024 * 1024 - 10)},
    {"queue": "work.fifo", "group": "g", "delay_seconds": 5}, {"group": "中"}, {"delay_seconds": 901},
    {"attributes": {"a": ""}}, {"attributes": {"a b": "x"}}, {"attributes": {str(n): "x" for n in range(10)}},
]  # fmt: skip


def test_what_no_queue_takes_is_refused(harness):
    for fields in REFUSED_MESSAGES:
        with about(fields):
            with pytest.raises(EffectRefused) as refused:
                harness.outlets.send_message(replace(MESSAGE, **fields))
            assert refused.value.type == "validation_error"


@pytest.mark.parametrize("fields", [{"topic": ""}, {"topic": "x" * 129}, {"source": ""}, {"bus": "no name"}])
def test_what_no_bus_takes_is_refused(harness, fields):
    with pytest.raises(EffectRefused) as refused:
        harness.outlets.put_event(replace(EVENT, **fields))
    assert refused.value.type == "validation_error"
