"""F1–F6 together: several dispatchers and workers on one execution, interleaved at every port call by the seed.

``DELIVERY_SEEDS`` says how many seeds to run (default: some), ``DELIVERY_FIRST_SEED`` where to begin.
"""

from __future__ import annotations

import os

import pytest
from tests.seeds import for_seeds
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.actors import Actor
from tests.simulation.delivery.faults import NoFaults
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.wild import tell
from tests.simulation.delivery.world import World, world

from workflow_runtime.deployment.topology import DISPATCH, node_queue

SEEDS = int(os.environ.get("DELIVERY_SEEDS", "48"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))
FAILED_ONCE = (23542,)
"""A worker was declared lost by one that died before it could say so."""


def run_seed(seed: int) -> None:
    tell(scenarios.NAMES[seed % len(scenarios.NAMES)], seed)


@pytest.mark.parametrize("part", range(len(scenarios.NAMES)))
def test_p2_to_p9_hold_for_any_interleaving_with_duplicates_jumps_of_time_and_faults(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SEEDS, len(scenarios.NAMES)):
        run_seed(seed)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_p8_schedules_that_broke_it_once_do_not_again(seed: int) -> None:
    run_seed(seed)


def test_a_seed_tells_the_same_story_every_time() -> None:
    def story(seed: int) -> tuple[int, list[str]]:
        with world(scenarios.NAMES[seed % len(scenarios.NAMES)], seed) as wild:
            run_wildly(wild)
            return wild.clock.time, [record.receipt_handle for _, record in wild.history]

    for seed in range(7):
        assert story(seed) == story(seed)


class Rivals:
    """W1 stops inside node ``a`` until its lease has run out; W2 gets the same order."""

    def __init__(self, wild: World) -> None:
        self.wild = wild
        self.faults = NoFaults()
        wild.faults = self.faults
        wild.behaviours["a"] = lambda call: _late(wild, call.attempt)
        wild.start()
        wild.run_at_once(wild.invocation(DISPATCH, wild.receive(DISPATCH)))
        order = wild.receive(node_queue("tool"))
        self.first = wild.invocation(node_queue("tool"), order)
        self.second = wild.invocation(node_queue("tool"), order)
        while not wild.effects.counts:
            wild.turn(self.first)
        wild.clock.time += 91_000

    def finish(self, actor: Actor) -> None:
        while not actor.done:
            self.wild.turn(actor)

    def second_until(self, call: str) -> None:
        """W2 goes on until it has made this port call."""
        self.faults.calls.clear()
        while call not in self.faults.calls:
            self.wild.turn(self.second)

    def check(self, attempts: int) -> None:
        self.wild.drain()
        self.wild.check_end()
        node = self.wild.document()["node_executions"]["a"]
        assert (node["status"], node["attempts"], node["output"]) == (
            "success",
            attempts,
            {"attempt": attempts, "x": 1},
        )
        assert self.wild.effects.counts[self.wild.execution_id, "a", 1] == 1


async def _late(wild: World, attempt: int) -> dict[str, int]:
    wild.point()
    return {"attempt": attempt, "x": 1}


def test_p3_a_worker_that_finishes_after_its_lease_was_given_up_changes_nothing() -> None:
    with world("chain") as wild:
        rivals = Rivals(wild)
        rivals.finish(rivals.second)
        rivals.finish(rivals.first)
        rivals.check(attempts=2)


def test_p2_a_result_and_the_verdict_that_its_worker_was_lost_cannot_both_be_recorded() -> None:
    with world("chain") as wild:
        rivals = Rivals(wild)
        rivals.second_until("get")  # W2 has seen the expired lease
        rivals.finish(rivals.first)
        rivals.finish(rivals.second)
        rivals.check(attempts=1)


def test_p8_a_worker_that_was_given_up_reports_that_if_the_one_who_did_it_died_before() -> None:
    with world("chain") as wild:
        rivals = Rivals(wild)
        rivals.second_until("get")
        rivals.second_until("put")  # the verdict is recorded, and not reported
        rivals.second.dead = True
        rivals.finish(rivals.first)
        rivals.check(attempts=2)


@pytest.mark.parametrize(("name", "dispatchers"), [("diamond", 2), ("fan_out", 3)])
@for_seeds(range(12))
def test_p2_p5_dispatchers_with_different_news_of_one_execution_lose_none_of_it(
    name: str, dispatchers: int, seed: int
) -> None:
    """A FIFO group prevents it until a visibility timeout ends too early; then only the commit's condition is left."""
    with world(name, seed) as wild:
        wild.start()
        for queue in (DISPATCH, node_queue("tool"), DISPATCH):
            wild.deliver(queue)
        for order in wild.receive(node_queue("tool")):  # each to a worker of its own, which reports alone
            wild.run_at_once(wild.invocation(node_queue("tool"), [order]))
        news = wild.receive(DISPATCH)
        assert len(news) >= dispatchers
        rivals = [wild.invocation(DISPATCH, news[number::dispatchers]) for number in range(dispatchers)]
        while rivals:
            rival = wild.random.choice(rivals)
            wild.turn(rival)
            rivals = [each for each in rivals if not each.done]
        wild.drain()
        wild.check_end()
        assert wild.outcome() == undisturbed(name)[0]


def test_p9_a_slow_dispatcher_cannot_turn_the_header_of_an_ended_execution_back() -> None:
    with world("chain") as wild:
        calls = NoFaults()
        wild.faults = calls
        wild.start()
        slow = wild.invocation(DISPATCH, wild.receive(DISPATCH))
        calls.calls.clear()
        while "put" not in calls.calls:  # its next call writes the header: running
            wild.turn(slow)
        wild.drain()
        assert wild.document()["status"] == "completed"
        while not slow.done:
            wild.turn(slow)
        wild.drain()  # the orders that it sends once more
        wild.check_end()
