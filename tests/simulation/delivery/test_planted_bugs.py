"""The harness finds what it is there to find: each planted bug turns it red within 2,000 seeds.

``PLANTED_REPORT=1`` prints how many seeds each took.
"""

from __future__ import annotations

import os

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.bugs import BUGS, Bug
from tests.simulation.delivery.invariants import Violation
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.world import world

SEEDS_MAX = 2_000


def seed_that_finds(bug: Bug) -> tuple[int, BaseException] | None:
    for seed in range(SEEDS_MAX):
        name = scenarios.NAMES[seed % len(scenarios.NAMES)]
        try:
            with world(name, seed, planted=bug) as wild:
                run_wildly(wild)
                wild.check_end()
                assert wild.lost_for_good() or wild.outcome() == undisturbed(name)[0]
        except (Exception, Violation) as error:
            return seed, error
    return None


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = seed_that_finds(BUGS[name])
    assert found is not None, f"{name} was not found within {SEEDS_MAX} seeds"
    if os.environ.get("PLANTED_REPORT"):
        with capsys.disabled():
            print(f"\n{name}: {found[0] + 1} seeds: {type(found[1]).__name__}: {str(found[1])[:100]}")
