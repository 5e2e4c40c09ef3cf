"""Loops, and executions that start others, under interleavings, duplicates, jumps of time and faults: each pass and
each part happens once, and none is forgotten.

``DELIVERY_SEEDS`` says how many seeds to run, ``DELIVERY_FIRST_SEED`` where to begin.
"""

from __future__ import annotations

import os

import pytest
from tests.seeds import for_seeds
from tests.simulation.delivery.wild import WITH_OTHERS, tell, tell_events

SEEDS = int(os.environ.get("DELIVERY_SEEDS", "6"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))


@pytest.mark.parametrize("name", WITH_OTHERS)
@for_seeds(range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_p2_to_p9_hold_for_passes_and_children_however_they_are_delivered(name: str, seed: int) -> None:
    tell(name, seed)


@for_seeds(range(FIRST_SEED, FIRST_SEED + 2 * SEEDS))
def test_p6_p7_events_take_effect_once_however_they_and_a_timer_are_delivered(seed: int) -> None:
    tell_events(seed)
