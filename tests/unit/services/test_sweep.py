"""What got lost is found: orders, workers, reports, pokes, timers. Virtual time only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import astuple, replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import DISPATCH, POOLS, TOPOLOGY, node_queue
from workflow_runtime.engine.awaited import Pending, PendingKind, Purpose
from workflow_runtime.engine.events import NodeFailed, TimerFired
from workflow_runtime.errors import RetryableError
from workflow_runtime.handlers import dispatch, run_node
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.ports import Item, Key, Message, QueueMessage, Queues, Refusal
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.messages import Timer, parse_mail, parse_order
from workflow_runtime.services.upkeep.sweep import Sweep, Swept
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import (
    FIRST_SECONDS,
    ORDERED_SECONDS,
    SECONDS_MAX,
    SHARDS,
    Due,
    DueStore,
    rearmed,
    shard_of,
)
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.runs import RunStore

START = 1_700_000_000_000
TOOL = node_queue("tool")
MOCKS: dict[str, Any] = {"tools": {"echo": {"return": "${inputs}"}}}
CHAIN = """
workflow:
  id: w
  nodes:
    - {id: 一, type: tool, tool: echo, inputs: {x: 1}}
    - {id: 二, type: tool, tool: echo, inputs: {x: "${一.x}"}}
"""
PAIR = """
workflow:
  id: pair
  nodes:
    - {id: 左, type: tool, tool: echo, inputs: {x: 1}}
    - {id: 右, type: tool, tool: echo, inputs: {x: 2}}
"""


class House:
    """A runtime whose queues only move when told to, or when the pump runs."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.backend: Backend = open_backend(None, self.clock)
        self.local = LocalRuntime(self.backend, None, Mocks.load(MOCKS))
        self.services = self.local.services
        self.services.catalog.publish(CHAIN.encode())
        self.runs = RunStore(self.backend.ports.table, self.backend.ports.blobs)
        self.store = ExecutionStore(self.backend.ports.table, self.backend.ports.blobs)

    def pump(self) -> None:
        asyncio.run(self.local.pump.run(lambda: False))

    def lose(self, queue: str) -> list[str]:
        """The messages of a queue vanish."""
        records = self.backend.poller.receive(queue, 10)
        self.backend.poller.delete(queue, [record.receipt_handle for record in records])
        return [str(record.event_record["body"]) for record in records]

    def start(self, *, ordered: bool = False) -> str:
        execution_id = self.services.starter.start("w")
        if ordered:
            self.dispatch()
        return execution_id

    def dispatch(self) -> None:
        records = self.backend.poller.receive(DISPATCH, 10)
        function = TOPOLOGY.function("dispatch")
        handler = dispatch.create(self.services, function)
        handler({"Records": [record.event_record for record in records]}, LocalContext(function))
        self.backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])

    def sweep(self, seconds: int = FIRST_SECONDS) -> Swept:
        self.clock.advance_to(self.clock.now() + seconds * 1000)
        return self.sweep_now()

    def sweep_now(self) -> Swept:
        """All shards, as a tick has it done, and what each of them leaves."""
        total = Swept()
        for shard in range(SHARDS):
            swept = self.services.sweep.sweep(shard)
            total = Swept(*(one + other for one, other in zip(astuple(total)[:4], astuple(swept)[:4], strict=True)))
        return total

    def status(self, execution_id: str) -> str:
        return self.services.documents.status(execution_id)

    def due(self) -> dict[str, int]:
        store = DueStore(self.backend.ports.table)
        far = START + 10**11
        found = [due for shard in range(SHARDS) for due in store.list(shard, far, 1000)]
        return {due.execution_id: (due.at - self.clock.now()) // 1000 for due in found}


@pytest.fixture
def house() -> Iterator[House]:
    opened = House()
    yield opened
    opened.local.close()


def test_an_execution_whose_first_poke_got_lost_is_started(house: House) -> None:
    execution_id = house.start()
    house.lose(DISPATCH)
    assert house.sweep() == Swept(running=1)
    house.pump()
    assert house.status(execution_id) == "completed"


def test_a_lost_order_is_sent_again(house: House) -> None:
    execution_id = house.start(ordered=True)
    assert len(house.lose(TOOL)) == 1
    assert house.sweep() == Swept(running=1, orders=1)
    house.pump()
    assert house.status(execution_id) == "completed"
    assert {run.serial for run in house.runs.list(execution_id)} == {1}, "no attempt was used up"


def test_an_order_that_waited_longer_than_max_wait_is_throttled_and_never_run(house: House) -> None:
    house.services.catalog.publish(CHAIN.replace("inputs: {x: 1}", "inputs: {x: 1}, max_wait: 5m").encode())
    execution_id = house.start(ordered=True)
    house.clock.advance_to(START + 300_001)
    house.pump()
    document = house.services.documents.document(execution_id)
    assert document["status"] == "failed"
    assert document["error"]["type"] == "throttled"
    (run,) = house.runs.list(execution_id)
    assert (run.status, run.started_at, run.ended_at) == (RunStatus.FAILED, START + 300_001, START + 300_001)


def test_an_order_that_is_claimed_within_max_wait_runs(house: House) -> None:
    house.services.catalog.publish(CHAIN.replace("inputs: {x: 1}", "inputs: {x: 1}, max_wait: 5m").encode())
    execution_id = house.start(ordered=True)
    house.clock.advance_to(START + 300_000)
    house.pump()
    assert house.status(execution_id) == "completed"


def test_time_in_the_queue_is_no_part_of_the_timeout(house: House) -> None:
    house.services.catalog.publish(CHAIN.replace("inputs: {x: 1}", "inputs: {x: 1}, timeout: 30s").encode())
    execution_id = house.start(ordered=True)
    house.clock.advance_to(START + 600_000)
    house.pump()
    assert house.status(execution_id) == "completed"


def test_a_tick_sweeps_when_the_pump_runs_again_later(house: House) -> None:
    """The whole way: schedule, queue, handler."""
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    house.pump()
    assert house.status(execution_id) == "running"
    house.clock.advance_to(START + FIRST_SECONDS * 1000)
    house.pump()
    assert house.status(execution_id) == "completed"


def claim(house: House, execution_id: str, status: RunStatus = RunStatus.RUNNING) -> Run:
    boot = house.backend.ports.boot
    lease = house.clock.now() + 90_000
    run = Run(path="一", serial=1, status=status, owner=f"{boot}/dead", started_at=START, lease_until=lease)
    assert house.runs.claim(execution_id, run)
    return run


def test_a_worker_that_died_with_its_order_is_found_and_the_node_runs_again(house: House) -> None:
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    claim(house, execution_id)
    assert house.sweep(FIRST_SECONDS) == Swept(running=1), "the lease is over for less than a minute"
    assert house.sweep(FIRST_SECONDS * 2) == Swept(running=1, orders=1)
    house.pump()
    assert house.status(execution_id) == "completed"
    lost, again = [run for run in house.runs.list(execution_id) if run.path == "一"]
    assert lost.error is not None
    assert (lost.status, lost.error.type, again.status, again.attempt) == ("failed", "worker_lost", "success", 2)


def test_a_run_that_was_given_back_without_an_order_is_carried_out(house: House) -> None:
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    claim(house, execution_id, RunStatus.RELEASED)
    assert house.sweep().orders == 1
    house.pump()
    assert house.status(execution_id) == "completed"


def test_a_result_whose_report_got_lost_is_reported_again(house: House) -> None:
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    run = claim(house, execution_id)
    house.runs.finish(execution_id, replace(run, status=RunStatus.SUCCESS, output={"x": 1}, ended_at=START), run.owner)
    assert house.sweep().orders == 1
    house.pump()
    assert house.status(execution_id) == "completed"
    assert len([each for each in house.runs.list(execution_id) if each.path == "一"]) == 1


def test_orders_that_were_carried_out_are_not_sent_again(house: House) -> None:
    """Two nodes are ordered in one commit; one has ended, the other is under way."""
    house.services.catalog.publish(PAIR.encode())
    execution_id = house.services.starter.start("pair")
    house.dispatch()
    done, running = house.backend.poller.receive(TOOL, 10)
    house.backend.poller.delete(TOOL, [done.receipt_handle, running.receipt_handle])
    handler = run_node.create(house.services, TOPOLOGY.function("run_node_tool"))
    asyncio.run(handler({"Records": [done.event_record]}, None))
    house.dispatch()
    path = parse_order(str(running.event_record["body"])).command.path
    owner = f"{house.backend.ports.boot}/alive"
    lease = START + SECONDS_MAX * 1000
    run = Run(path=path, serial=1, status=RunStatus.RUNNING, owner=owner, started_at=START, lease_until=lease)
    assert house.runs.claim(execution_id, run)
    assert house.sweep() == Swept(running=1)
    assert house.lose(TOOL) == []


def test_orders_that_wait_in_a_long_queue_are_not_sent_again_but_a_lost_one_is(house: House) -> None:
    """A worker takes one order in 25 seconds."""
    echo = ", ".join(f"{{id: n{number}, type: tool, tool: echo}}" for number in range(20))
    house.services.catalog.publish(f"workflow: {{id: wide, nodes: [{echo}]}}".encode())
    house.services.starter.start("wide")
    house.dispatch()
    (lost,) = house.backend.poller.receive(TOOL, 1)
    house.backend.poller.delete(TOOL, [lost.receipt_handle])
    handler = run_node.create(house.services, TOPOLOGY.function("run_node_tool"))
    for number in range(19):
        house.clock.advance_to(house.clock.now() + 25_000)
        (taken,) = house.backend.poller.receive(TOOL, 1)
        asyncio.run(handler({"Records": [taken.event_record]}, None))
        house.backend.poller.delete(TOOL, [taken.receipt_handle])
        house.dispatch()
        assert house.sweep_now().orders == 0, f"after {number}"
    assert [house.sweep(SECONDS_MAX).orders, len(house.lose(TOOL))] == [1, 1]


def test_a_worker_that_renews_its_lease_is_left_alone(house: House) -> None:
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    run = claim(house, execution_id)
    for minutes in (2, 4, 8, 16):
        house.clock.advance_to(house.clock.now() + minutes * 60_000)
        house.runs.renew(execution_id, run, house.clock.now() + 90_000)
        assert house.sweep_now() == Swept(running=1)
    assert house.lose(TOOL) == []


def test_a_commit_that_was_never_published_is_published(house: House) -> None:
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    house.backend.ports.table.delete_all([keys.journal(execution_id, 1)])
    assert house.sweep() == Swept(running=1)
    house.pump()
    assert house.status(execution_id) == "completed"


def test_an_overdue_timer_is_delivered(house: House) -> None:
    execution_id = house.start(ordered=True)
    house.lose(TOOL)
    stored = house.store.load(execution_id)
    assert stored is not None
    state = stored.state.copy()
    state.version += 1
    due = {"t1": START + 1000, "远": START + 10**9}
    state.pending = {id: Pending(PendingKind.TIMER, Purpose.DELAY, due=time) for id, time in due.items()}
    assert house.store.commit(state, replace(stored.last, version=2))
    house.store.mark_published(execution_id, replace(stored.last, version=2, commands=()))
    assert house.sweep().timers == 1
    events = [parse_mail(body).event for body in house.lose(DISPATCH)]
    assert [event.timer for event in events if isinstance(event, TimerFired)] == ["t1"]


def test_what_runs_is_looked_after_in_doubling_distances_up_to_an_hour_and_what_ended_no_more(house: House) -> None:
    execution_id = house.start(ordered=True)
    order = house.lose(TOOL)
    assert house.due() == {execution_id: FIRST_SECONDS}
    distance = FIRST_SECONDS
    distances = []
    for _ in range(7):
        house.sweep(distance)
        distance = house.due()[execution_id]
        distances.append(distance)
    assert distances == [240, 480, 960, 1920, 3600, 3600, 3600]
    assert order
    house.pump()
    assert house.status(execution_id) == "completed"
    assert house.due() == {}, "the ending commit took it away"


def test_an_order_of_an_execution_that_has_run_for_long_is_found_as_soon_as_one_of_a_young_one(house: House) -> None:
    wait = "    - {id: 零, type: control, subtype: wait, duration: 10h}\n    - {id: 一, dependencies: [零], "
    house.services.catalog.publish(CHAIN.replace("    - {id: 一, ", wait).encode())
    execution_id = house.start(ordered=True)
    for _ in range(10):
        house.sweep(SECONDS_MAX)
        house.lose(DISPATCH)
    house.clock.advance_to(START + 10 * SECONDS_MAX * 1000)
    house.services.timers.deliver(Timer(execution_id, "t1", START + 36_000_000))
    house.dispatch()
    assert len(house.lose(TOOL)) == 1
    assert 0 < house.due()[execution_id] <= ORDERED_SECONDS
    assert house.sweep(ORDERED_SECONDS).orders == 1


def test_an_order_that_was_too_young_to_be_lost_is_looked_at_again_soon(house: House) -> None:
    execution_id = house.start()
    house.clock.advance_to(START + (FIRST_SECONDS - 10) * 1000)
    house.dispatch()
    house.lose(TOOL)
    assert house.sweep(10).orders == 0
    assert house.due()[execution_id] == ORDERED_SECONDS
    assert house.sweep(ORDERED_SECONDS).orders == 1


def test_a_run_of_many_orders_arranges_to_be_looked_after_once_in_150_seconds_at_most() -> None:
    since, writes = START, []
    for now in range(START, START + 3 * 3600 * 1000, 1000):
        if due := rearmed("e", since, now):
            writes.append(now)
            since = due.since
    assert min(after - before for before, after in pairwise(writes)) >= ORDERED_SECONDS * 1000
    assert writes[0] - START >= FIRST_SECONDS * 1000, "a short run writes nothing"


def test_an_execution_that_was_begun_anew_is_looked_after_though_somebody_still_ends_it(house: House) -> None:
    execution_id = house.start(ordered=True)
    store = DueStore(house.backend.ports.table)
    store.put(Due.first(execution_id, START + 5000))
    store.remove(execution_id, START)
    assert house.due() == {execution_id: FIRST_SECONDS + 5}


def test_what_an_older_deployment_arranged_is_looked_after(house: House) -> None:
    execution_id = house.start(ordered=True)
    key = keys.execution(execution_id, keys.DUE)
    at = START + 480_000
    index = Key(keys.due_shard(shard_of(execution_id)), f"{at:015d}#{execution_id}")
    house.backend.ports.table.put(Item(key, {"at": at, "seconds": 480}, index))
    assert house.sweep(480).running == 1
    assert house.due()[execution_id] > 0


def test_a_start_that_died_before_its_header_is_forgotten_after_a_while_and_never_poked(house: House) -> None:
    execution_id = house.start()
    house.lose(DISPATCH)
    house.backend.ports.table.delete_all([keys.execution(execution_id, keys.HEADER)])
    for _ in range(7):
        house.sweep(SECONDS_MAX)
    assert house.due() == {}
    assert house.lose(DISPATCH) == []


def test_one_execution_that_cannot_be_looked_after_keeps_no_other_from_it(house: House) -> None:
    broken, sound = house.start(ordered=True), house.start(ordered=True)
    house.lose(TOOL)
    state = keys.execution(broken, keys.STATE)
    item = house.backend.ports.table.get([state])[state]
    house.backend.ports.table.put(type(item)(state, {**item.attributes, "state": b"j{"}))
    assert house.sweep() == Swept(running=2, orders=1)
    assert set(house.due().values()) == {240}
    assert house.status(sound) == "running"


def test_sweeping_twice_does_nothing_twice(house: House) -> None:
    execution_id = house.start(ordered=True)
    order = house.lose(TOOL)
    house.sweep()
    assert house.sweep_now() == Swept()
    assert house.lose(TOOL) == order
    assert NodeFailed not in [type(parse_mail(body).event) for body in house.lose(DISPATCH)]
    assert house.status(execution_id) == "running"


class Refusing:
    """Queues of which those of workers are full, or cannot be reached."""

    def __init__(self, queues: Queues, *, reachable: bool) -> None:
        self._queues = queues
        self._reachable = reachable
        self.set_visibility = queues.set_visibility

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        if queue != TOOL:
            return self._queues.send(queue, messages)
        if not self._reachable:
            raise RetryableError("out of reach")
        return [Refusal(place, "full") for place in range(len(messages))]


@pytest.mark.parametrize("reachable", [True, False])
def test_what_cannot_be_delivered_keeps_the_sweep_from_no_execution(house: House, *, reachable: bool) -> None:
    execution_id, services, table = house.start(), house.services, house.backend.ports.table
    house.lose(DISPATCH)
    outbox = services.stores.outbox
    for id in "ab":
        effect = QueueMessage(id=id, queue="work", body="x")
        table.put(outbox.item(execution_id, "tool", effect, house.clock.now()))
    house.clock.advance_to(START + FIRST_SECONDS * 1000)
    ports = replace(services.ports, queues=Refusing(services.ports.queues, reachable=reachable))
    sweep = Sweep(ports, services.stores, services.mailer, services.timers, POOLS, services.lines)
    swept = sweep.sweep(shard_of(execution_id))
    assert (swept.running, swept.deliveries) == (1, 0)
    assert [entry.tries for entry in outbox.open_of(execution_id)] == [1, 1]
    house.pump()
    assert house.status(execution_id) == "completed"
