"""A commit that orders more than fits into one invocation is carried out by several, each going on where the last one
stopped, and holds up nobody else.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from tests.handlers.bench import Bench

from workflow_runtime.backends.aws.backend import TOGETHER_MAX
from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.ports import Schedule, in_turn

WAITS = 900
SLOW_SECONDS = 0.1
INVOCATION_SECONDS = 15
CHART = """workflow:
  id: parents
  type: state_machine
  initial_state: s
  states:
    - name: s
      on_enter: [{for_each: "${input.items}", do: [{start_workflow: {workflow_id: w, input: {n: "${item}"}}}]}]
      transitions: [{event: never}]
"""
NODE = "    - {id: a, type: tool, tool: echo, inputs: {x: 1}}\n"


class Slow:
    """A port whose every call takes a while, and how often each was made with which first argument."""

    def __init__(self, port: Any, bench: Bench, *methods: str) -> None:
        self._port = port
        self._bench = bench
        self._methods = methods
        self.calls: Counter[Any] = Counter()
        self._together: int | None = None  # calls that were made at once so far

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self._methods:
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            first = arguments[0]
            self.calls[first.name if isinstance(first, Schedule) else name] += 1
            if self._together is None:
                self._pass(1)
            else:
                self._together += 1
            return method(*arguments, **named)

        return call

    def _pass(self, calls: int) -> None:
        self._bench.clock.advance_to(self._bench.clock.now() + round(calls * SLOW_SECONDS * 1000))

    def together(self, calls: Sequence[Callable[[], None]]) -> None:
        """As in threads: so many calls of the port take as long as one."""
        if self._together is not None:
            in_turn(calls)
            return
        self._together = 0
        try:
            in_turn(calls)
        finally:
            made, self._together = self._together, None
            self._pass(math.ceil(made / TOGETHER_MAX))


@pytest.fixture
def embedded() -> Iterator[Bench]:
    bench = Bench("embedded")
    yield bench
    bench.close()


@pytest.fixture
def schedules(embedded: Bench) -> Iterator[Slow]:
    """Slow ones, with which the bench works."""
    slow = Slow(embedded.runtime.ports.schedules, embedded, "put", "create")
    with embedded.on(replace(embedded.runtime.ports, schedules=slow)):
        yield slow


def start_waits(bench: Bench) -> str:
    waits = "".join(
        f"    - {{id: w{number}, type: control, subtype: wait, duration: 10h}}\n" for number in range(WAITS)
    )
    return bench.start(waits, workflow_id="waits")


def test_far_timers_are_scheduled_once_each_by_as_many_invocations_as_needed(embedded: Bench, schedules: Slow) -> None:
    start_waits(embedded)
    rounds = 0
    while embedded.deliver(DISPATCH):
        rounds += 1
        assert rounds < 50, "it never ends"
    assert len(schedules.calls) == WAITS
    assert set(schedules.calls.values()) == {1}, "none was scheduled twice"
    assert rounds >= WAITS * SLOW_SECONDS / INVOCATION_SECONDS, "no invocation took longer than it may"


@pytest.mark.usefixtures("schedules")
def test_executions_delivered_with_a_wide_one_are_not_held_up_by_it(embedded: Bench) -> None:
    wide = start_waits(embedded)
    neighbour = embedded.start(NODE)
    records = embedded.receive(DISPATCH)
    assert len(records) == 2
    before = embedded.clock.now()
    failed = embedded.invoke(DISPATCH, records)
    assert len(failed) == 2, "there was no time left for the neighbour"
    again = {str(record.event_record["body"]): record for record in embedded.receive(DISPATCH)}
    assert len(again) == 2, "both may be received again at once"
    assert embedded.clock.now() - before <= INVOCATION_SECONDS * 1000
    embedded.invoke(DISPATCH, [record for body, record in again.items() if neighbour in body])
    assert embedded.document(neighbour)["status"] == "running"
    assert embedded.document(wide)["status"] == "running"


def publish_parents(bench: Bench) -> None:
    """A chart that starts a child for each item, and the workflow of those children."""
    bench.start(NODE)
    bench.drain()
    bench.runtime.catalog.publish(CHART.encode())


def test_very_many_children_are_started_once_each_by_as_many_invocations_as_needed(embedded: Bench) -> None:
    publish_parents(embedded)
    slow = Slow(embedded.runtime.ports.table, embedded, "put")
    with embedded.on(replace(embedded.runtime.ports, table=slow)):
        embedded.runtime.starter.start("parents", {"items": list(range(WAITS))})
        rounds = 0
        while embedded.deliver(DISPATCH):
            rounds += 1
            assert rounds < 400, "it never ends"
    assert embedded.counts.count((Metric.EXECUTIONS_STARTED, 1)) >= WAITS
    each = 5  # a child's input, due time and header; its own first commit and journal entry
    assert slow.calls["put"] <= each * WAITS + rounds, "no child is started twice"


def large(number: int) -> str:
    """A text that no packing makes small."""
    return b64encode(Random(number).randbytes(10_000)).decode()


def start_large(bench: Bench) -> str:
    """A chart that starts very many children, each with a large input; its id."""
    publish_parents(bench)
    return bench.runtime.starter.start("parents", {"items": [large(number) for number in range(400)]})


def test_what_is_large_of_very_many_commands_is_stored_in_one_invocation(embedded: Bench) -> None:
    """It is stored before the commit, so a commit of which it took longer than that would never come about."""
    execution_id = start_large(embedded)
    slow = Slow(embedded.runtime.ports.blobs, embedded, "put")
    with embedded.on(replace(embedded.runtime.ports, blobs=slow, together=slow.together)):
        before = embedded.clock.now()
        assert embedded.deliver(DISPATCH)
        assert embedded.clock.now() - before <= INVOCATION_SECONDS * 1000
    assert slow.calls["put"] >= 400
    stored = embedded.runtime.stores.executions.load(execution_id)
    assert stored is not None
    assert stored.published


def test_an_invocation_ends_in_time_though_not_all_that_is_large_was_stored(embedded: Bench) -> None:
    execution_id = start_large(embedded)
    slow = Slow(embedded.runtime.ports.blobs, embedded, "put")
    with embedded.on(replace(embedded.runtime.ports, blobs=slow)):  # one after the other
        before = embedded.clock.now()
        [record] = embedded.receive(DISPATCH)
        assert embedded.invoke(DISPATCH, [record])
        assert embedded.clock.now() - before <= INVOCATION_SECONDS * 1000
        assert embedded.receive(DISPATCH), "it comes again at once"
    assert embedded.runtime.stores.executions.load(execution_id) is None
