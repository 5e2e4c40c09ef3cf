"""Faults at the port calls of an execution that was cancelled and is retried: it ends as if nothing had happened.

Crashes at one in 30 calls, or more (`faults`).
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, Plan, at_every_call
from tests.simulation.delivery.test_delivery_cancels import NAMES, STEP, cancel
from tests.simulation.delivery.world import World, world

from workflow_runtime.errors import RetryableError


def retried(seed: int, faults: Plan, name: str, rounds: int, **fields: Any) -> str:
    """Run a workflow for so many rounds of deliveries, cancel it, retry it, and let everything come to its end; how
    that is."""
    with world(name, seed) as disturbed:
        disturbed.start()
        for _ in range(rounds):
            disturbed.drain_once()
        cancel(disturbed)
        disturbed.drain()
        disturbed.faults = faults
        retry(disturbed, **fields)
        disturbed.drain()
        disturbed.check_end()
        document = disturbed.document()
        ends = "failed" if name == "undo" else "completed"
        assert (document["status"], document["attempt"]) == (ends, 2)
        return str((document["output"], document["compensation"]))


def retry(disturbed: World, **fields: Any) -> None:
    """Ask again and again until there is an answer, as a caller would."""
    while True:
        try:
            assert disturbed.runtime.control.ask("retry", disturbed.execution_id, key="again", said=fields).changed
        except (Crash, RetryableError):
            continue
        return


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p8_a_fault_at_any_call_changes_nothing_about_a_retry(name: str, fault: Fault, rounds: int) -> None:
    at_every_call(retried, fault, name, rounds, step=STEP)
