"""What the store of published agents promises on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from workflow_runtime.plan.catalogue import CatalogueEntry
from workflow_runtime.ports import Item, Key
from workflow_runtime.storage import keys
from workflow_runtime.storage.agents import AgentMismatch, AgentStore
from workflow_runtime.storage.freezes import FreezeStore, Switch

NOW = 1_700_000_000_000
ENTRY = CatalogueEntry(id="作者", output_schema={"type": "string"}, models=("test",))


@pytest.fixture
def store(harness: Any) -> AgentStore:
    return AgentStore(harness.table)


def publish(store: AgentStore, digest: str, over: int, at: int = NOW) -> int:
    return store.publish("作者", digest, digest.encode(), ENTRY, at, over).number


def test_versions_are_numbered_and_what_says_the_same_is_the_same_version(store: AgentStore) -> None:
    assert publish(store, "a", 0) == 1
    assert publish(store, "a", 0, NOW + 1) == 1
    assert publish(store, "b", 1, NOW + 2) == 2
    assert publish(store, "a", 2, NOW + 3) == 3
    assert [version.digest for version in store.versions("作者", [3, 2, 1, 9])] == ["a", "b", "a"]
    assert store.source("作者", 2) == b"b"
    assert store.entry("作者", 2) == ENTRY
    with pytest.raises(KeyError):
        store.source("作者", 9)


def test_nothing_is_published_over_another_version_than_the_expected_one(store: AgentStore) -> None:
    publish(store, "a", 0)
    for over in (0, 2):
        with pytest.raises(AgentMismatch):
            publish(store, "b", over)
    assert [pointer.latest for pointer in store.pointers()] == [1]


def test_a_removed_agent_continues_its_numbers(store: AgentStore) -> None:
    publish(store, "a", 0)
    pointer = store.pointer("作者")
    assert pointer is not None
    assert store.remove(pointer, NOW + 1)
    removed = store.pointer("作者")
    assert removed is not None
    assert not removed.is_published
    assert publish(store, "a", 0, NOW + 2) == 2
    assert not store.remove(removed, NOW + 3), "it was published meanwhile"
    latest = store.pointer("作者")
    assert latest is not None
    assert (latest.is_published, latest.created_at) == (True, NOW)


def test_a_publisher_that_died_before_the_last_write_has_its_version_taken_up(store: AgentStore, harness: Any) -> None:
    publish(store, "a", 0)
    row = harness.table.get([keys.published_agent("作者")])
    publish(store, "b", 1)
    for item in row.values():
        harness.table.put(item)  # as it was before version 2 was pointed at
    with pytest.raises(AgentMismatch):
        publish(store, "c", 1)
    pointer = store.pointer("作者")
    assert pointer is not None
    assert (pointer.latest, pointer.digest) == (2, "b")


class CountingTable:
    """Counts the reads of a table."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.reads = 0

    def get(self, wanted: Sequence[Key]) -> dict[Key, Item]:
        self.reads += 1
        found: dict[Key, Item] = self._table.get(wanted)
        return found


def test_versions_that_are_asked_for_one_by_one_can_be_read_together_before(store: AgentStore, harness: Any) -> None:
    for number in range(120):
        store.publish(f"a{number}", "d", str(number).encode(), ENTRY, NOW, 0)
    table = CountingTable(harness.table)
    other = AgentStore(cast("Any", table))
    other.load(store.pointers())
    assert [other.source(f"a{number}", 1) for number in range(120)] == [str(number).encode() for number in range(120)]
    other.load(store.pointers())
    assert table.reads == 1


def test_who_looks_at_the_switches_sees_published_agents_and_takes_none_for_a_switch(
    store: AgentStore, harness: Any
) -> None:
    publish(store, "a", 0)
    freezes = FreezeStore(harness.table, harness.blobs)
    switch = freezes.set(Switch(scope="agent:作者", generation=NOW, since=NOW))
    board = freezes.board()
    assert board.switches == [switch]
    assert [(pointer.agent_id, pointer.latest) for pointer in board.agents] == [("作者", 1)]
    [item] = harness.table.get([keys.published_agent("作者")]).values()
    told = item.attributes  # by a version of the runtime that knows only switches
    assert (bool(told["closed"]), int(told["generation"]), bool(told["scope"])) == (True, 1, True)
