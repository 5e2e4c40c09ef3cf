"""Loops under interleavings, duplicates, jumps of time and faults: each pass happens once, and none is forgotten.

``DELIVERY_SEEDS`` says how many seeds to run, ``DELIVERY_FIRST_SEED`` where to begin.
"""

from __future__ import annotations

import os

from tests.seeds import for_seeds
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.world import world

SEEDS = int(os.environ.get("DELIVERY_SEEDS", "6"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))


@for_seeds(range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_p2_to_p9_hold_for_loops_however_their_passes_are_delivered(seed: int) -> None:
    expected, _ = undisturbed("loops")
    with world("loops", seed) as wild:
        run_wildly(wild)
        wild.check_end()
        if not wild.lost_for_good():
            assert wild.outcome() == expected
