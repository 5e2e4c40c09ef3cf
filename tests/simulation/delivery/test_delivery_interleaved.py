"""F1–F6 together: several dispatchers and workers on one execution, interleaved at every port call by the seed.

``DELIVERY_SEEDS`` says how many seeds to run (default: a few hundred), ``DELIVERY_FIRST_SEED`` where to begin.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.delivery import scenarios
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.world import World, world

SEEDS = int(os.environ.get("DELIVERY_SEEDS", "140"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))
FAILED_ONCE = (2520, 3322, 3718, 3869, 4070, 4475, 4640)
"""A worker's result and the verdict that it was lost, written at the same moment: the second replaced the first."""


def run_seed(seed: int) -> None:
    name = scenarios.NAMES[seed % len(scenarios.NAMES)]
    expected, _ = undisturbed(name)
    with world(name, seed) as wild:
        run_wildly(wild)
        wild.check_end()
        if not wild.lost_for_good():
            assert wild.outcome() == expected


@pytest.mark.parametrize("part", range(len(scenarios.NAMES)))
def test_p2_to_p9_hold_for_any_interleaving_with_duplicates_jumps_of_time_and_faults(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SEEDS, len(scenarios.NAMES)):
        run_seed(seed)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_p2_schedules_that_broke_it_once_do_not_again(seed: int) -> None:
    run_seed(seed)


def test_a_seed_tells_the_same_story_every_time() -> None:
    def story(seed: int) -> tuple[int, list[str]]:
        with world(scenarios.NAMES[seed % len(scenarios.NAMES)], seed) as wild:
            run_wildly(wild)
            return wild.clock.time, [record.receipt_handle for _, record in wild.history]

    for seed in range(7):
        assert story(seed) == story(seed)


def test_p3_a_worker_that_finishes_after_its_lease_was_given_up_changes_nothing() -> None:
    """W1 takes 200 s while its lease cannot be renewed; W2 finds the lease ended; the engine grants another attempt."""

    def long_story(wild: World) -> None:
        wild.dawdle = 0
        wild.start()
        dispatched = wild.receive("dispatch.fifo")
        wild.run_at_once(wild.invocation("dispatch.fifo", dispatched))
        order = wild.receive("node-tool")
        first = wild.invocation("node-tool", order)
        while not wild.effects.counts:  # W1 stops inside its node
            _turn(wild, first)
        wild.clock.time += 91_000
        wild.run_at_once(wild.invocation("node-tool", order))
        while not first.done:
            _turn(wild, first)
        wild.drain()
        wild.check_end()

    with world("chain") as wild:
        wild.behaviours["a"] = lambda call: _late(wild, call)
        long_story(wild)
        assert wild.effects.counts[wild.execution_id, "a", 1] == 1
        assert wild.document()["node_executions"]["a"]["output"] == {"attempt": 2, "x": 1}
        assert wild.document()["node_executions"]["a"]["attempts"] == 2


async def _late(wild: World, call: object) -> dict[str, object]:
    wild.point()
    attempt = getattr(call, "attempt", 0)
    return {"attempt": attempt, "x": 1}


def _turn(wild: World, actor: object) -> None:
    wild.current = actor  # type: ignore[assignment]
    actor.step()  # type: ignore[attr-defined]
    wild.current = None
