"""Bugs that a directed schedule finds: each is found, and the same schedule passes without it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.simulation.delivery.bugs import (
    Bug,
    Tampered,
    held_events_out_of_order,
    lost_response_taken_for_a_lost_race,
    no_bug,
    publishing_that_restarts,
    step_without_its_condition,
    subscriptions_after_the_commit,
    visibility_longer_than_the_lease,
)
from tests.simulation.delivery.faults import Fault, NoFaults, places
from tests.simulation.delivery.invariants import Violation, state_of
from tests.simulation.delivery.scenarios import WAITS, source
from tests.simulation.delivery.test_delivery_agents import Story
from tests.simulation.delivery.test_delivery_crashes import survives, undisturbed
from tests.simulation.delivery.test_delivery_suspensions import family
from tests.simulation.delivery.world import World, world

from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.ports import Condition, Item, Ports
from workflow_runtime.services.dispatch.pacing import RESERVE_MS
from workflow_runtime.services.intake.events import EventBatch
from workflow_runtime.services.work.attempt import LEASE_SECONDS
from workflow_runtime.services.work.queue import HIDDEN_LONGER_SECONDS
from workflow_runtime.storage import keys

# -- answers that are lost


def every_answer_is_lost_once(planted: Bug) -> None:
    for place in places(undisturbed("chain")[1], Fault.LOST, 1):
        survives("chain", place, Fault.LOST, 0, planted)


def test_a_lost_answer_that_is_taken_for_a_lost_race_is_found() -> None:
    every_answer_is_lost_once(no_bug)
    with pytest.raises(AssertionError):
        every_answer_is_lost_once(lost_response_taken_for_a_lost_race)


# -- events that are held


def test_held_events_that_come_back_out_of_order_are_found() -> None:
    family(0, NoFaults(), 2)
    with pytest.raises(AssertionError):
        family(0, NoFaults(), 2, held_events_out_of_order)


# -- workers that die


def seconds_until_the_next_attempt(planted: Bug) -> float:
    """After a worker has died in the middle of its node's code, long after its order was hidden."""
    with world("chain", planted=planted) as wild:
        wild.hides = True
        died: list[int] = []

        async def dies_once(call: NodeCall) -> object:
            if not died:
                await wild.clock.sleep(20)
                died.append(wild.clock.time)
                assert wild.current is not None
                wild.current.dead = True
            return call.inputs

        wild.behaviours["a"] = dies_once
        wild.start()
        wild.drain()
        wild.check_end()
        assert not wild.sweeps
        [_, again] = [at for at, path in wild.begun if path == "a"]
        return (again - died[0]) / 1000


def test_an_order_that_stays_invisible_for_longer_than_its_lease_is_found() -> None:
    soon = LEASE_SECONDS + HIDDEN_LONGER_SECONDS + 5
    assert seconds_until_the_next_attempt(no_bug) < soon
    assert seconds_until_the_next_attempt(visibility_longer_than_the_lease) > soon


# -- events that are waited for


def ways_in(call: int, planted: Bug) -> tuple[bool, str]:
    """An event comes when a dispatcher has made so many calls, and the execution waits for it by then: whether it does,
    and how the execution stands in the end."""
    with world("waiting", planted=planted) as wild:
        wild.calm.catalog.publish(source("waiting"))
        wild.start()
        dispatching = wild.invocation(DISPATCH, wild.receive(DISPATCH))
        for _ in range(call + 1):
            if not dispatching.done:
                wild.turn(dispatching)
        key = keys.execution(wild.execution_id, keys.STATE)
        stored = wild.raw.table.get([key]).get(key)
        waits = stored is not None and bool(state_of(stored).pending)
        if waits:
            send(wild, "paid", {"order": 1})
        while not dispatching.done:
            wild.turn(dispatching)
        wild.live_until(lambda: wild.poller.next_visible_at() is None)
        return waits, str(wild.document()["status"])


def send(wild: World, topic: str, detail: dict[str, int]) -> None:
    """An event over the bus."""
    body = {
        "id": "event-1",
        "detail-type": topic,
        "source": "shop",
        "time": "2023-11-14T22:13:20Z",
        "detail": detail,
    }
    record = {"messageId": "m1", "body": msgspec.json.encode(body).decode()}
    EventBatch(wild.calm.ingest, [record]).take("m1")


def statuses(planted: Bug) -> set[str]:
    ends = [ways_in(call, planted) for call in range(20)]
    assert 2 < sum(waits for waits, _ in ends) < 20
    return {status for waits, status in ends if waits}


def test_subscriptions_that_follow_their_commit_are_found() -> None:
    assert statuses(no_bug) == {"completed"}
    assert statuses(subscriptions_after_the_commit) == {"completed", "running"}


# -- commits with much to be carried out

SLOW_MS = 1_000  # for a schedule
INVOCATION_MS = 20_000


class Slow(Tampered):
    """Schedules that take a while each."""

    def __init__(self, schedules: Any, clock: Any) -> None:
        super().__init__(schedules)
        self._clock = clock

    def create(self, schedule: Any) -> None:
        self._port.create(schedule)
        self._clock.time += SLOW_MS


def invocations_until_all_is_published(planted: Bug) -> int:
    """Each has 20 seconds; 0 if twice as many as it takes are not enough."""
    slow: Bug = lambda ports: planted(replace(ports, schedules=Slow(ports.schedules, ports.clock)))  # noqa: E731
    with world("wide", planted=slow) as wild:
        wild.start()
        [first, second] = [runtime.dispatcher.budget for runtime in wild.dispatching]
        needed = -(-WAITS * SLOW_MS // (INVOCATION_MS - RESERVE_MS))
        for count in range(1, 2 * needed + 1):
            with first.of(INVOCATION_MS), second.of(INVOCATION_MS):
                wild.deliver(DISPATCH)
            stored = wild.calm.stores.executions.load(wild.execution_id)
            if stored is not None and stored.published:
                return count
            wild.clock.time = max(wild.clock.time, wild.poller.next_visible_at() or 0)
        return 0


def test_publishing_that_starts_over_each_time_is_found() -> None:
    assert invocations_until_all_is_published(no_bug)
    assert not invocations_until_all_is_published(publishing_that_restarts)


# -- steps of agents


class Noting(Tampered):
    """Notes at which calls steps are written."""

    def __init__(self, table: Any, faults: NoFaults) -> None:
        super().__init__(table)
        self._faults = faults
        self.places: list[int] = []

    def put(self, item: Item, condition: Condition | None = None) -> None:
        if item.key.sort.startswith(keys.STEP_PREFIX):
            self.places.append(len(self._faults.calls))
        self._port.put(item, condition)


def overslept(call: int, planted: Bug) -> None:
    """An agent's worker stands still before its call of this number, for longer than its lease, while another one goes
    on with what it has recorded; then it wakes up."""
    with world("agent", planted=planted) as wild:
        story = Story(wild)
        wild.start()
        wild.deliver(DISPATCH)
        wild.faults = faults = NoFaults()
        worker = wild.invocation(node_queue("agent"), wild.receive(node_queue("agent")))
        while len(faults.calls) < call:
            wild.turn(worker)
        wild.turn(worker)
        wild.clock.time += 2 * LEASE_SECONDS * 1000
        wild.live_until(lambda: False, story.answer)
        while not worker.done:
            wild.turn(worker)
        wild.drain()
        wild.check_end()
        assert (wild.document()["status"], wild.document()["output"], story.paid) == ("completed", "done", [5])
        story.folder.cleanup()


def calls_that_write_steps() -> list[int]:
    """Of the worker that comes first."""
    faults = NoFaults()
    tables: list[Noting] = []

    def noting(ports: Ports) -> Ports:
        tables.append(Noting(ports.table, faults))
        return replace(ports, table=tables[0])

    with world("agent", planted=noting) as wild:
        story = Story(wild)
        wild.start()
        wild.deliver(DISPATCH)
        wild.faults = faults
        wild.deliver(node_queue("agent"))
        story.folder.cleanup()
    return tables[0].places


def oversleeps_before_any_step(planted: Bug) -> None:
    for call in calls_that_write_steps():
        overslept(call, planted)


def test_a_step_that_is_written_without_its_condition_is_found() -> None:
    assert len(calls_that_write_steps()) > 5
    oversleeps_before_any_step(no_bug)
    with pytest.raises((AssertionError, Violation)):
        oversleeps_before_any_step(step_without_its_condition)
