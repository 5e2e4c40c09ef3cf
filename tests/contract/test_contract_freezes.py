"""What the services promise each other about switches and what they hold, on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.ports import Item, Key
from workflow_runtime.storage import keys
from workflow_runtime.storage.freezes import FreezeStore, Switch
from workflow_runtime.storage.payloads import pack_bytes

NOW = 1_700_000_000_000


@pytest.fixture
def store(harness: Any) -> FreezeStore:
    return FreezeStore(harness.table, harness.blobs)


def switch(scope: str = "agent:作者", at: int = NOW, **fields: Any) -> Switch:
    return Switch(scope=scope, generation=at, since=at, **fields)


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


def test_what_an_earlier_version_has_left_under_a_switch_comes_back_and_is_dropped(harness: Any) -> None:
    store = FreezeStore(harness.table, harness.blobs)
    held = {"2": {"kind": "event", "body": pack_bytes(b"{}")}, "1": {"kind": "start"}}
    for place, attributes in held.items():
        key = Key(keys.held_by("all"), f"{NOW:015d}#{place}")
        harness.table.put(Item(key, {**attributes, "execution": "e", "at": NOW}))
    left = store.left("all", 10)
    assert [one.is_event for one in left] == [False, True]
    assert store.body(left[1]) == "{}"
    store.drop(left)
    assert store.left("all", 10) == []


def test_a_closed_switch_is_listed_no_more(store: FreezeStore) -> None:
    first = store.set(switch("all"))
    store.thaw(first, NOW + 1)
    (thawing,) = store.switches()
    assert (thawing.thawed_at, thawing.holds) == (NOW + 1, False)
    store.close(first, NOW + 2)
    assert store.switches() == []
