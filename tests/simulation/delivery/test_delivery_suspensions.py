"""Suspending and resuming under faults, and interleaved with everything else: nothing is lost, nothing is done twice.

Crashes at one in 50 calls, or more (`faults`). ``DELIVERY_SEEDS`` and ``DELIVERY_FIRST_SEED`` as for other
interleavings.
"""

from __future__ import annotations

import os

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.bugs import Bug, no_bug
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, Plan, at_every_call
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.wild import tell
from tests.simulation.delivery.world import TERMINAL, World, world

from workflow_runtime.errors import RequestError, RetryableError

STEP = 50
SEEDS = int(os.environ.get("DELIVERY_SEEDS", "24"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))
NAMES = ("chain", "fan_out", "failing", "undo", "chart")


def suspended_and_resumed(seed: int, faults: Plan, name: str, rounds: int) -> None:
    """Run a workflow for so many rounds of deliveries, suspend it, let come to rest what may, resume it, to its end."""
    expected, _ = undisturbed(name)
    with world(name, seed, faults) as disturbed:
        disturbed.start()
        for _ in range(rounds):
            disturbed.drain_once()
        ask(disturbed, "suspend")
        disturbed.drain()
        if disturbed.document()["status"] == "suspended":
            begun = dict(disturbed.effects.counts)
            disturbed.clock.time += 3 * 3600 * 1000
            disturbed.run_at_once(disturbed.sweeping())
            disturbed.drain()
            assert disturbed.effects.counts == begun, "something began while it was suspended"
            ask(disturbed, "resume")
            disturbed.drain()
        disturbed.check_end()
        if not disturbed.lost_for_good():
            assert disturbed.outcome() == expected


def ask(disturbed: World, operation: str) -> None:
    """Ask again and again until there is an answer, as a caller would."""
    while True:
        try:
            disturbed.runtime.control.ask(operation, disturbed.execution_id, "maintenance", operation)
        except (Crash, RetryableError):
            continue
        except RequestError:  # it has ended, or is undone before it does
            assert disturbed.document()["status"] in (*TERMINAL, "compensating")
        return


@pytest.mark.parametrize("rounds", range(5))
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p6_p8_a_fault_at_any_call_changes_nothing_of_what_a_suspension_leaves(
    name: str, fault: Fault, rounds: int
) -> None:
    at_every_call(suspended_and_resumed, fault, name, rounds, step=STEP)


def suspended_and_cancelled(seed: int, faults: Plan, name: str) -> None:
    """Suspend it half-way, let come to rest what may, and cancel it."""
    with world(name, seed, faults) as disturbed:
        disturbed.start()
        for _ in range(2):
            disturbed.drain_once()
        ask(disturbed, "suspend")
        disturbed.drain()
        assert disturbed.document()["status"] == "suspended"
        ask(disturbed, "cancel")
        disturbed.drain()
        disturbed.check_end()
        assert disturbed.document()["status"] == "cancelled"
        assert disturbed.document()["suspension"] is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p8_p9_a_fault_at_any_call_does_not_save_a_suspended_execution_from_its_cancellation(
    name: str, fault: Fault
) -> None:
    at_every_call(suspended_and_cancelled, fault, name, step=STEP)


@pytest.mark.parametrize("part", range(len(scenarios.NAMES)))
def test_p2_to_p9_hold_for_any_interleaving_with_suspensions_and_resumptions(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SEEDS, len(scenarios.NAMES)):
        tell(scenarios.NAMES[seed % len(scenarios.NAMES)], seed, suspends=True)


def family(seed: int, faults: Plan, rounds: int, planted: Bug = no_bug) -> None:
    """Suspend a parent while its child runs, with events, timers and the child's end in flight; resume it, to its end.

    Events are sent all the time; each takes effect once, in the order they were sent.
    """
    with world("parent", seed, faults, planted=planted) as disturbed:
        disturbed.calm.stores.workflows.publish(
            scenarios.plan("child"), scenarios.source("child"), disturbed.clock.now()
        )
        disturbed.start()
        numbers = iter(range(100))
        for _ in range(rounds):
            disturbed.drain_once()
        put(disturbed, next(numbers))
        ask(disturbed, "suspend")
        for _ in range(4):
            put(disturbed, next(numbers))
            disturbed.drain()
            disturbed.clock.time += 60_000
            disturbed.run_at_once(disturbed.sweeping())
        assert disturbed.document()["status"] == "suspended"
        ask(disturbed, "resume")
        for _ in range(3):
            put(disturbed, next(numbers))
            disturbed.drain_once()
        end = disturbed.clock.time + 3600 * 1000
        while disturbed.document()["current_states"] != ["third"]:
            assert disturbed.clock.time < end, disturbed.document()
            if not disturbed.drain_once():
                disturbed.clock.time += 1000
        put(disturbed, next(numbers), "end")
        disturbed.drain()
        disturbed.check_end()
        document = disturbed.document()
        assert document["status"] == "completed"
        assert document["variables"]["seen"] == list(range(8))


def put(disturbed: World, number: int, event: str = "put") -> None:
    """Send an event again and again until there is an answer."""
    while True:
        try:
            disturbed.runtime.signalling.send(disturbed.execution_id, event, {"n": number}, f"n{number}")
        except (Crash, RetryableError):
            continue
        return


@pytest.mark.parametrize("rounds", range(4))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p6_p7_p8_a_fault_at_any_call_loses_and_doubles_nothing_that_is_held(fault: Fault, rounds: int) -> None:
    at_every_call(family, fault, rounds, step=STEP)
