"""Lists of executions: complete, in order, and cheap enough for many executions at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.engine.commands import SetStatus
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.ports import Item, Key
from workflow_runtime.storage import keys
from workflow_runtime.storage.headers import header_item
from workflow_runtime.storage.listing import LOOKED_AT_MAX, SHARDS, Wanted, position
from workflow_runtime.storage.records import Globals, Header
from workflow_runtime.storage.stores import Stores

ALL = tuple(ExecutionStatus)
DONE = (ExecutionStatus.COMPLETED,)


def header(number: int, workflow: str = "w") -> Header:
    return Header(
        execution_id=f"e{number:05d}",
        workflow_id=workflow,
        workflow_version=1,
        plan_hash="p",
        status=ExecutionStatus.PENDING,
        started_at=1_000 + number // 3,  # some at the same time
        input_hash="h",
    )


@pytest.fixture
def backend() -> Iterator[Backend]:
    with open_backend(None, VirtualClock(0)) as opened:
        yield opened


@pytest.fixture
def stores(backend: Backend) -> Stores:
    return Stores(backend.ports)


def create(stores: Stores, number: int, workflow: str = "w", status: ExecutionStatus | None = None) -> Header:
    made = header(number, workflow)
    stores.executions.create(made, Globals({}, {}, {}))
    if status is not None:
        stores.executions.set_status(made, [SetStatus(status, 2_000)], 1)
    return made


def walk(stores: Stores, wanted: Wanted, limit: int) -> list[str]:
    found: list[str] = []
    while True:
        page = stores.listing.page(wanted, limit)
        assert len(page.headers) <= limit
        found += [each.execution_id for each in page.headers]
        if page.next is None:
            return found
        wanted = Wanted(wanted.statuses, wanted.workflow_id, page.next, wanted.since)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
@pytest.mark.parametrize("workflow", ["w", None])
def test_pages_of_any_size_are_the_list_in_order(stores: Stores, limit: int, workflow: str | None) -> None:
    made = []
    order = random.Random(limit).sample(range(60), 60)
    for number in order:
        done = ExecutionStatus.COMPLETED if number % 4 == 0 else None
        made.append((create(stores, number, "w" if number % 2 else "另", done), done))
    newest = sorted(made, key=lambda pair: position(pair[0]), reverse=True)
    of = [(each, done) for each, done in newest if workflow in (None, each.workflow_id)]
    assert walk(stores, Wanted(ALL, workflow), limit) == [each.execution_id for each, _ in of]
    assert walk(stores, Wanted(DONE, workflow), limit) == [each.execution_id for each, done in of if done]
    since = [each.execution_id for each, _ in of if each.started_at >= 1_007]
    assert walk(stores, Wanted(ALL, workflow, since=1_007), limit) == since
    before = [each.execution_id for each, _ in of if each.started_at < 1_007]
    assert walk(stores, Wanted(ALL, workflow, f"{1_007:015d}"), limit) == before


def test_a_rare_status_among_very_many_is_found_page_by_page(stores: Stores) -> None:
    count = LOOKED_AT_MAX + 500
    for number in range(count):
        create(stores, number, status=ExecutionStatus.COMPLETED if number == 1 else None)
    page = stores.listing.page(Wanted(DONE), 10)
    assert page.headers == ()
    assert page.next is not None
    assert walk(stores, Wanted(DONE), 10) == ["e00001"]
    assert [each.execution_id for each in stores.listing.page(Wanted(DONE, "w"), 10).headers] == ["e00001"]


def test_what_an_earlier_deployment_listed_is_found_once_and_by_the_status_it_has_now(
    backend: Backend, stores: Stores
) -> None:
    """Its key holds the status at the time; an execution that moves on under this deployment gets the new key."""
    for number, status in enumerate(("running", "running", "completed")):
        old = header_item(header(number))
        place = Key("WF#w", f"{status}#{header(number).started_at:015d}#e{number:05d}")
        backend.ports.table.put(Item(old.key, {**old.attributes, "status": status}, place))
    stores.executions.set_status(header(1), [SetStatus(ExecutionStatus.COMPLETED, 2_000)], 1)
    create(stores, 3)
    assert walk(stores, Wanted(ALL, "w"), 1) == ["e00003", "e00002", "e00001", "e00000"]
    assert walk(stores, Wanted((ExecutionStatus.RUNNING,), "w"), 9) == ["e00000"]
    assert walk(stores, Wanted(DONE, "w"), 9) == ["e00002", "e00001"]


class Counting:
    """Write units that each partition of the narrow index takes: one for an item that comes, changes or goes, if that
    shows there; two when its key moves."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.units: Counter[str] = Counter()
        self.moves = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def _count(self, key: Key, write: Any) -> None:
        before = self._table.get([key]).get(key)
        write()
        after = self._table.get([key])[key]
        if after.listing is not None:
            shown = [each.attributes.get("status") if each is not None else None for each in (before, after)]
            self.units[after.listing.partition] += before is None or shown[0] != shown[1]
            self.moves += before is not None and before.listing not in (None, after.listing)
        assert after.index is None or after.key.sort == keys.DUE

    def put(self, item: Item, *rest: Any) -> None:
        self._count(item.key, lambda: self._table.put(item, *rest))

    def update(self, key: Key, *rest: Any, **named: Any) -> None:
        self._count(key, lambda: self._table.update(key, *rest, **named))


def test_no_partition_of_the_list_takes_more_than_its_share_of_a_workflows_executions() -> None:
    """A partition takes 1,000 write units a second: 5,000 executions a second of one workflow stay below that."""
    with open_backend(None, VirtualClock(0)) as backend:
        table = Counting(backend.ports.table)
        stores = Stores(replace(backend.ports, table=table))
        for number in range(800):
            made = create(stores, number)
            for version, status in enumerate(("running", "completed"), start=1):
                stores.executions.set_status(made, [SetStatus(ExecutionStatus(status), 2_000)], version)
    assert table.moves == 0
    assert sum(table.units.values()) == 800 * 4  # three in its workflow's list, one in that of all
    of_workflow = [units for partition, units in table.units.items() if "#w#" in partition]
    assert len(of_workflow) == SHARDS
    assert max(of_workflow) < 1.6 * 800 * 3 / SHARDS
