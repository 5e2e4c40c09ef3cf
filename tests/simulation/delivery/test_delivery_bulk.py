"""Faults at the port calls of a request about many executions, page by page: whoever asks again repeats nothing.

Crashes at one in 50 calls, or more (`faults`).
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, Plan, at_every_call
from tests.simulation.delivery.world import World, world

from workflow_runtime.errors import RetryableError
from workflow_runtime.services.control.bulk import Selection

STEP = 50
COUNT = 3
PAGE = 2


def ask_all(disturbed: World, operation: str) -> int:
    """Ask page after page, each again and again until there is an answer, as a caller would; how many were asked."""
    place: str | None = None
    asked = 0
    while True:
        try:
            page = disturbed.runtime.bulk.ask(operation, Selection(disturbed.name), "key", PAGE, place, reason="all")
        except (Crash, RetryableError):
            continue
        assert not page.refused
        asked += len(page.execution_ids)
        place = page.next
        if place is None:
            return asked


def asked_of_all(seed: int, faults: Plan, name: str, operation: str, rounds: int) -> list[Any]:
    """Start some executions, let them come so far (-1: to their end), ask all of them; how they end."""
    with world(name, seed) as disturbed:
        ids = []
        for number in range(COUNT):
            disturbed.clock.time += 1000
            ids.append(disturbed.calm.starter.start(name, scenarios.INPUT, start_key=f"key {number}"))
        disturbed.execution_id = ids[0]
        if rounds < 0:
            disturbed.drain()
        for _ in range(rounds):
            disturbed.drain_once()
        disturbed.faults = faults
        assert ask_all(disturbed, operation) == COUNT
        ends = []
        for disturbed.execution_id in ids:
            disturbed.drain()
            disturbed.check_end()
            document = disturbed.document()
            ends.append((document["status"], document["attempt"], document["compensation"]))
        return ends


@pytest.mark.parametrize(
    ("name", "operation", "rounds"),
    [("undo", "cancel", 2), ("failing", "retry", -1), ("undo", "compensate", -1), ("undo", "retry", -1)],
)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p8_p9_a_fault_at_any_call_changes_nothing_of_what_a_request_about_many_leads_to(
    name: str, operation: str, rounds: int, fault: Fault
) -> None:
    at_every_call(asked_of_all, fault, name, operation, rounds, step=STEP)
