"""Faults at the port calls of an execution that is cancelled half-way: it is cancelled, once, and nothing is left.

Crashes at one in 30 calls, or more (`faults`).
"""

from __future__ import annotations

import pytest
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, Plan, at_every_call
from tests.simulation.delivery.world import World, world

from workflow_runtime.errors import RetryableError

STEP = 30
NAMES = ("chain", "fan_out", "chart", "undo")


def cancelled(seed: int, faults: Plan, name: str, rounds: int) -> None:
    """Run a workflow for so many rounds of deliveries, cancel it, and let everything come to its end."""
    with world(name, seed, faults) as disturbed:
        disturbed.start()
        for _ in range(rounds):
            disturbed.drain_once()
        cancel(disturbed)
        disturbed.drain()
        disturbed.check_end()
        assert disturbed.document()["status"] == "cancelled"
        entries = disturbed.document()["node_executions"].values()
        assert {entry["status"] for entry in entries} <= {"success", "failed", "skipped", "cancelled", "compensated"}


def cancel(disturbed: World) -> None:
    """Ask again and again until there is an answer, as a caller would."""
    while True:
        try:
            asked = disturbed.runtime.control.ask("cancel", disturbed.execution_id, "not needed", "key")
        except (Crash, RetryableError):
            continue
        assert asked.changed, "the same key got another answer"
        return


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p8_p9_a_fault_at_any_call_does_not_save_an_execution_from_its_cancellation(
    name: str, fault: Fault, rounds: int
) -> None:
    at_every_call(cancelled, fault, name, rounds, step=STEP)
