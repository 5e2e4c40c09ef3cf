"""Wild schedules of whatever there is: chains and graphs, charts, loops, segments, executions that start others, with
and without people who suspend and resume them.
"""

from __future__ import annotations

from tests.simulation.delivery import scenarios
from tests.simulation.delivery.bugs import Bug, no_bug
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.world import START, World, world

WITH_OTHERS = ("loops", "parted", "top")
EVENTS = 8  # different ones
EVERYTHING = (
    *((name, False) for name in scenarios.NAMES),
    *((name, False) for name in (*WITH_OTHERS, scenarios.LISTENING)),
    *((name, True) for name in scenarios.NAMES),
    *((name, suspends) for name in scenarios.SEGMENTS for suspends in (False, True)),
)
"""Workflows, and whether they are suspended."""


def tell(name: str, seed: int, *, suspends: bool = False, planted: Bug = no_bug) -> World:
    """Interleave all that happens by the seed; in the end nothing is broken, and the outcome is what it always is.
    ``planted``: a bug, which may well prevent that."""
    if name == scenarios.LISTENING:
        return tell_events(seed)
    expected, _ = undisturbed(name)
    with world(name, seed, others=scenarios.STARTED.get(name, ()), planted=planted) as wild:
        run_wildly(wild, suspends=suspends)
        wild.check_end()
        assert wild.lost_for_good() or wild.outcome() == expected
    return wild


def tell_events(seed: int) -> World:
    """The same, of one that is sent events: each that was accepted takes effect once, and none twice."""
    with world(scenarios.LISTENING, seed) as wild:
        run_wildly(wild, events=EVENTS)
        wild.check_end()
        document = wild.document()
        assert document["status"] == "completed"
        seen = document["variables"]["seen"]
        assert len(seen) == len(set(seen)), "an event took effect twice"
        if wild.wild_until < START + scenarios.LISTENING_SECONDS * 1000:  # else it may have ended before
            assert wild.sent <= set(seen), "an event was lost"
    return wild
