"""The dispatcher on states that it has committed itself: it does not read them, and trusts them no further than a
conditional write does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.handlers.bench import Bench
from tests.unit.services.replaying import assert_replays

from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.engine.events import NodeSucceeded, Poked, run_event_id
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import ConditionFailed
from workflow_runtime.services.dispatch.dispatcher import Delivery
from workflow_runtime.services.dispatch.warm import WARM_MS_MAX
from workflow_runtime.storage import keys

CHAIN = """
    - {id: a, type: tool, tool: echo, inputs: {x: 1}}
    - {id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
"""
CHART = """
workflow:
  id: w
  type: state_machine
  initial_state: open
  states:
    - {name: open, transitions: [{event: press}, {event: close, target: done}]}
"""


class Watched:
    """A table that notes loads of states, commits that came too late and reads of ids, and may refuse the mark of a
    publication."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.loads = 0
        self.asked: list[str] = []
        self.refuses_marks = False
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def query(self, partition: str, prefix: str = "", **options: Any) -> Any:
        self.loads += prefix == keys.JOURNAL_PREFIX and options.get("limit") == 2
        return self._table.query(partition, prefix, **options)

    def get(self, wanted: Any, **options: Any) -> Any:
        self.asked += [key.sort for key in wanted if key.sort.startswith("APPLIED#")]
        return self._table.get(wanted, **options)

    def put(self, item: Any, condition: Any = None) -> None:
        if self.refuses_marks and item.key.sort.startswith(keys.JOURNAL_PREFIX) and item.key.sort != keys.STATE:
            raise RetryableError("throttled")
        try:
            self._table.put(item, condition)
        except ConditionFailed:
            self.lost += item.key.sort == keys.STATE
            raise


class Town:
    """Two processes on one table."""

    def __init__(self) -> None:
        self.bench = Bench("embedded")
        ports = self.bench.backend.ports
        self.table = Watched(ports.table)
        self.watched = replace(ports, table=self.table)
        self.here = self.bench.runtime_on(self.watched)
        self.there = self.bench.runtime_on(ports)
        self.bench.runtime = self.here

    def start_overtaken(self) -> str:
        """An execution of whose first node this process knows, and only the other one that `b` has been ordered, whose
        result is in the mailbox."""
        execution_id = self.bench.start(CHAIN)
        self.bench.deliver(DISPATCH)
        self.bench.deliver(node_queue("tool"))
        self.bench.runtime = self.there
        self.bench.deliver(DISPATCH)
        self.bench.deliver(node_queue("agent"))
        self.bench.runtime = self.here
        return execution_id

    def version(self, execution_id: str) -> int:
        stored = self.there.stores.executions.load(execution_id)
        assert stored is not None
        return stored.state.version


@pytest.fixture
def town() -> Iterator[Town]:
    opened = Town()
    yield opened
    opened.bench.close()


def test_a_process_reads_the_state_of_an_execution_once(town: Town) -> None:
    execution_id = town.bench.start(CHAIN)
    town.bench.drain()
    assert town.version(execution_id) == 4
    assert town.table.loads == 1, "when it did not know yet whether there is one"
    assert town.bench.document(execution_id)["status"] == "completed"
    assert_replays(town.there, execution_id)


def test_what_is_over_is_read_as_it_may_have_to_wait_before_it_is_reopened(town: Town) -> None:
    execution_id = town.bench.start(CHAIN)
    town.bench.drain()
    loads = town.table.loads
    town.here.dispatcher.dispatch(execution_id, [Delivery(Poked("p", town.bench.clock.now()))])
    assert town.table.loads == loads + 1


def test_who_has_been_overtaken_reads_the_state_and_sends_nothing_twice(town: Town) -> None:
    execution_id = town.start_overtaken()
    loads = town.table.loads
    town.bench.deliver(DISPATCH)
    assert town.table.loads == loads + 1
    assert len(town.bench.receive(node_queue("tool"))) == 1
    assert town.version(execution_id) == 3
    assert_replays(town.there, execution_id)


def test_what_seems_to_change_nothing_is_decided_by_what_is_stored(town: Town) -> None:
    """By what this process knows, nobody has ordered the run that it is told of."""
    execution_id = town.start_overtaken()
    town.bench.receive(DISPATCH)  # the result of `b`, which is lost
    event = NodeSucceeded(run_event_id("b", 1), town.bench.clock.now(), "b", 1)
    assert town.here.dispatcher.dispatch(execution_id, [Delivery(event)]) == 1
    assert town.version(execution_id) == 3
    assert town.there.documents.document(execution_id)["node_executions"]["c"]["status"] == "ready"
    assert town.watched.table.query(f"EX#{execution_id}", "DEAD#") == []


def test_a_state_whose_orders_may_not_all_have_been_sent_is_read_and_published_again(town: Town) -> None:
    execution_id = town.bench.start(CHAIN)
    town.table.refuses_marks = True
    town.bench.deliver(DISPATCH)
    town.table.refuses_marks = False
    loads = town.table.loads
    town.here.dispatcher.dispatch(execution_id, [Delivery(Poked("p", town.bench.clock.now()))])
    assert town.table.loads == loads + 1
    assert len(town.bench.receive(node_queue("tool"))) == 2, "the order, and the order again"
    assert [entry.version for entry in town.there.stores.executions.journal(execution_id)] == [1]


def test_an_event_with_an_id_asks_whether_it_was_taken_also_on_a_warm_state(town: Town) -> None:
    town.here.catalog.publish(CHART.encode())
    execution_id = town.here.starter.start("w")
    town.bench.settle()
    for _ in range(2):
        town.here.signalling.send(execution_id, "press", key="k")
        town.bench.settle()
    assert len(town.table.asked) >= 2
    assert town.bench.document(execution_id)["status"] == "running"
    assert sum(bool(entry.applied) for entry in town.there.stores.executions.journal(execution_id)) == 1


def test_a_state_that_was_kept_for_long_is_read(town: Town) -> None:
    execution_id = town.bench.start(CHAIN)
    town.bench.deliver(DISPATCH)
    town.bench.pass_time(WARM_MS_MAX // 1000 + 1)
    town.here.dispatcher.dispatch(execution_id, [Delivery(Poked("p", town.bench.clock.now()))])
    assert town.table.loads == 2


def test_a_process_that_is_mostly_overtaken_reads_states_until_it_is_not_any_more(town: Town) -> None:
    """Commits that fail cost more than reads."""
    nodes = "".join(f"    - {{id: n{number}, type: agent, agent: echo, inputs: {{x: 1}}}}\n" for number in range(40))
    execution_id = town.bench.start(nodes)

    def commit(count: int, *others: Any) -> tuple[int, int]:
        """Have processes in turn take what there is; how many commits this one lost then, and how often it read."""
        lost, loads = town.table.lost, town.table.loads
        processes = town.here, *others
        for number in range(count):
            town.bench.runtime = processes[number % len(processes)]
            town.bench.deliver(DISPATCH)
            town.bench.deliver(node_queue("agent"))
        return town.table.lost - lost, town.table.loads - loads

    assert commit(20, town.there) == (2, 10), "it lost twice, and then it read first"
    lost, loads = commit(16)
    assert lost == 0
    assert 0 < loads < 16, "what it read has shown that its own states are the newest again"
    assert commit(2) == (0, 0)
    town.bench.drain()
    assert town.bench.document(execution_id)["status"] == "completed"
    assert_replays(town.there, execution_id)
