"""Two who publish at once: one of them is told, and no version is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.errors import RequestError
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Item, Ports, Table
from workflow_runtime.services.catalog.catalog import Catalog
from workflow_runtime.services.catalog.publishing import Publishing
from workflow_runtime.services.catalog.triggers import Triggers
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.workflows import VersionMismatch, WorkflowStore


def source(node: str) -> bytes:
    return f"workflow: {{id: w, nodes: [{{id: {node}, type: tool, tool: echo}}]}}".encode()


def plan(node: str) -> Plan:
    return compile_or_raise(source(node))


def anything(latest: Any) -> bool:  # noqa: ARG001
    return True


class Interrupted:
    """A table on which somebody else acts between a publisher's look and its write of the version."""

    def __init__(self, table: Table, act: Callable[[WorkflowStore], object]) -> None:
        self._table = table
        self._act: Callable[[WorkflowStore], object] | None = act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def put(self, item: Item, *condition: Any) -> None:
        act = self._act
        if act is not None and item.key.sort.startswith("V#"):
            self._act = None
            act(WorkflowStore(self._table))
        self._table.put(item, *condition)


def interrupted(table: Table, act: Callable[[WorkflowStore], object]) -> WorkflowStore:
    between: Any = Interrupted(table, act)
    return WorkflowStore(between)


def publishing(ports: Ports, workflows: WorkflowStore) -> Publishing:
    stores = Stores(ports)
    stores.workflows = workflows
    return Publishing(ports.clock, stores, Catalog(ports.clock, stores, Triggers(ports, stores)))


def test_only_the_expected_version_is_replaced() -> None:
    with open_backend() as backend:
        store = WorkflowStore(backend.ports.table)
        store.publish(plan("a"), source("a"), 1, over=0)
        store.publish(plan("b"), source("b"), 2, over=1)
        with pytest.raises(VersionMismatch):
            store.publish(plan("c"), source("c"), 3, over=1)
        assert [store.version("w", number) is not None for number in (1, 2, 3)] == [True, True, False]


def test_who_loses_the_race_is_told_and_the_winners_version_stays() -> None:
    with open_backend() as backend:
        ports = backend.ports
        WorkflowStore(ports.table).publish(plan("a"), source("a"), 1)
        loser = interrupted(ports.table, lambda other: other.publish(plan("b"), source("b"), 2))
        with pytest.raises(VersionMismatch):
            loser.publish(plan("c"), source("c"), 3, over=1)
        latest = loser.latest("w")
        assert latest is not None
        assert (latest.number, latest.plan_hash) == (2, plan("b").hash)


def test_without_a_precondition_both_versions_are_kept() -> None:
    with open_backend() as backend:
        ports = backend.ports
        WorkflowStore(ports.table).publish(plan("a"), source("a"), 1)
        slow = interrupted(ports.table, lambda other: other.publish(plan("b"), source("b"), 2))
        published, is_new = publishing(ports, slow).replace("w", source("c"), compile_workflow(source("c")), anything)
        assert (published.version.number, is_new) == (3, False)
        hashes = [version.plan_hash for version in slow.versions("w", [1, 2, 3]).values()]
        assert hashes == [plan(node).hash for node in "abc"]


def test_a_version_published_meanwhile_is_not_removed() -> None:
    with open_backend() as backend:
        ports = backend.ports
        store = WorkflowStore(ports.table)
        store.publish(plan("a"), source("a"), 1)
        seen = store.pointer("w")
        assert seen is not None
        store.publish(plan("b"), source("b"), 2)
        assert store.remove(seen, 3) is False
        assert store.latest("w") is not None


def test_a_create_that_loses_the_race_is_a_conflict() -> None:
    with open_backend() as backend:
        ports = backend.ports
        slow = interrupted(ports.table, lambda other: other.publish(plan("b"), source("b"), 2))
        with pytest.raises(RequestError) as error:
            publishing(ports, slow).create(source("a"), compile_workflow(source("a")))
        assert error.value.code == "conflict"
