"""Who waits for what, and who owns a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.ports import Table
from workflow_runtime.storage.subscriptions import Handover, OwnerStore, Subscriber, SubscriptionStore


@pytest.fixture
def table() -> Iterator[Table]:
    with open_backend(None, VirtualClock(0)) as backend:
        yield backend.ports.table


def test_subscribers_are_found_by_event_and_key_and_by_workflow(table: Table) -> None:
    store = SubscriptionStore(table)
    store.put("ex-1", "订单", [("付款", "号 #7", "r1")])
    store.put("ex-1", "订单", [("付款", "号 #7", "r1")])
    store.put("ex-2", "orders", [("付款", "号 #7", "r1")])
    assert set(store.of("付款", "号 #7")) == {Subscriber("ex-1", "订单"), Subscriber("ex-2", "orders")}
    assert store.of("付款", "号 #7", "订单") == (Subscriber("ex-1", "订单"),)
    assert store.of("付款", "号 #8") == store.of("退款", "号 #7") == ()


def test_a_workflow_whose_id_begins_like_another_is_another(table: Table) -> None:
    store = SubscriptionStore(table)
    store.put("ex-1", "order", [("pay", "k", "r1")])
    store.put("ex-2", "orders", [("pay", "k", "r1")])
    assert store.of("pay", "k", "order") == (Subscriber("ex-1", "order"),)


def test_deleting_takes_one_subscription_and_may_be_repeated(table: Table) -> None:
    store = SubscriptionStore(table)
    for execution_id in ("ex-1", "ex-2"):
        store.put(execution_id, "w", [("pay", "k", "r1")])
    for _ in range(2):
        store.delete("ex-1", "w", [("pay", "k", "r1")])
        assert store.of("pay", "k") == (Subscriber("ex-2", "w"),)


def test_of_several_who_take_a_key_one_wins_and_a_repeat_finds_itself(table: Table) -> None:
    owners = OwnerStore(table)
    assert owners.of("w", "k") is None
    assert owners.take("w", "k", "ex-1", None) == "ex-1"
    assert owners.take("w", "k", "ex-2", None) == "ex-1"
    assert owners.take("w", "k", "ex-1", None) == "ex-1"
    assert owners.take("w", "k", "ex-3", "ex-1") == "ex-3"
    assert owners.take("w", "k", "ex-4", "ex-1") == "ex-3"
    assert owners.of("other", "k") is None


def test_where_an_event_went_is_noted_once(table: Table) -> None:
    owners = OwnerStore(table)
    first, second = Handover("ex-1", "key", "ex-0"), Handover("ex-2")
    assert owners.look("w", "号", "event-1") == (None, None)
    assert owners.hand_over("w", "号", "event-1", first, 5000) == first
    assert owners.hand_over("w", "号", "event-1", second, 5000) == first
    assert owners.look("w", "号", "event-1") == (None, first)
    assert owners.look("w", "号", "event-2") == (None, None)


def test_those_are_found_that_the_trigger_brings_it_to_and_old_ones_without_one(table: Table) -> None:
    store = SubscriptionStore(table)
    store.put("ex-1", "w", [("pay", "k", "r1")])
    store.put("ex-1", "w", [("pay", "k", "r2")])
    store.put("ex-2", "w", [("pay", "k", "r2")])
    store.put("ex-3", "w", [("pay", "k", "")])
    assert {found.execution_id for found in store.of("pay", "k", "w", "r1")} == {"ex-1", "ex-3"}
    assert [found.execution_id for found in store.of("pay", "k")] == ["ex-1", "ex-2", "ex-3"], "each once"
    store.delete("ex-1", "w", [("pay", "k", "r1")])
    assert {found.execution_id for found in store.of("pay", "k", "w", "r2")} == {"ex-1", "ex-2", "ex-3"}
