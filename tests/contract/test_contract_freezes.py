"""What the services promise each other about switches and what they hold, on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.storage.freezes import FreezeStore, Held, HeldKind, Switch

NOW = 1_700_000_000_000
LARGE = " ".join(str(number * number) for number in range(9_000)).encode()


@pytest.fixture
def store(harness: Any) -> FreezeStore:
    return FreezeStore(harness.table, harness.blobs)


def switch(scope: str = "agent:作者", at: int = NOW, **fields: Any) -> Switch:
    return Switch(scope=scope, generation=at, since=at, **fields)


def order(place: str, body: bytes = b"{}") -> Held:
    return Held(kind=HeldKind.ORDER, execution_id="ex-1", place=place, at=NOW, path="写", body=body)


def test_a_switch_that_holds_is_not_set_again(store: FreezeStore) -> None:
    first = store.set(switch(by="李雷", reason="胡说"))
    assert store.set(switch(at=NOW + 5, by="韩梅梅")) == first
    assert store.switches() == [first]
    assert store.switch("agent:别人") is None


def test_a_switch_set_after_a_thaw_is_of_a_later_generation_even_in_the_same_millisecond(store: FreezeStore) -> None:
    first = store.set(switch())
    store.thaw(first, NOW)
    second = store.set(switch())
    assert second.generation > first.generation
    assert second.holds
    store.thaw(first, NOW)
    store.close(first, NOW)
    assert store.switches() == [second], "who is late with the first one changes nothing of the second"


def test_what_is_held_comes_back_in_order_with_its_body_and_only_once(store: FreezeStore) -> None:
    set_ = store.set(switch())
    store.hold(set_, [order("2", LARGE), order("1"), order("3")])
    store.hold(set_, [order("1")])
    found = store.held(set_, 10)
    assert [held.place for held in found] == ["1", "2", "3"]
    assert [store.body(held) for held in found] == [b"{}", LARGE, b"{}"]
    assert [held.place for held in store.held(set_, 2)] == ["1", "2"]
    store.drop(set_, found[:2])
    assert [held.place for held in store.held(set_, 10)] == ["3"]


def test_who_releases_for_an_earlier_switch_sees_nothing_of_the_later_one_and_deletes_nothing(
    store: FreezeStore,
) -> None:
    first = store.set(switch())
    store.hold(first, [order("1")])
    left = store.held(first, 10)
    store.thaw(first, NOW)
    second = store.set(switch(at=NOW + 9))
    store.hold(second, [order("1")])
    store.drop(first, left)
    assert store.held(first, 10) == []
    assert [held.generation for held in store.held(second, 10)] == [second.generation]


def test_the_later_switch_has_what_the_earlier_one_left(store: FreezeStore) -> None:
    first = store.set(switch())
    store.hold(first, [order("7")])
    store.thaw(first, NOW)
    second = store.set(switch(at=NOW + 9))
    store.hold(second, [order("1")])
    assert [held.place for held in store.held(second, 10)] == ["7", "1"]


def test_a_closed_switch_is_listed_no_more(store: FreezeStore) -> None:
    first = store.set(switch("all"))
    store.thaw(first, NOW + 1)
    (thawing,) = store.switches()
    assert (thawing.thawed_at, thawing.holds) == (NOW + 1, False)
    store.close(first, NOW + 2)
    assert store.switches() == []
