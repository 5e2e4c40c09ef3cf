"""Random charts to which things happen (events, time, results, people who suspend, resume and cancel), against another
interpreter of the language.

ENGINE_EXAMPLES=5000 runs more of them.
"""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random

from tests.simulation.engine.charting import EVENTS, ChartAuthor, ChartRun, chart_scripts, hears
from tests.simulation.engine.test_engine_simulation import seeds
from tests.simulation.engine.test_living_reference import World, lived
from tests.unit.engine.driver import START


class ChartWorld(World):
    """An execution of a chart."""

    def names(self) -> list[str]:
        return [name for name in EVENTS if any(hears(descriptor, name) for descriptor in self.plan.declared_events)]


def disagreement(seed: int) -> object:
    """What the reference says to a life: nothing, if it was like that."""
    random = Random(seed)
    definition = json.loads(json.dumps(ChartAuthor(random).definition()))
    outcomes = chart_scripts(definition, random)
    world = lived(definition, deepcopy(outcomes), random, ChartWorld)
    assert world is not None
    world.check()
    run = ChartRun(definition, deepcopy(outcomes), START)
    happenings = [happening for happening, _ in world.told]
    for place, (happening, at_work) in enumerate(world.told):
        if not run.happens(*happening):
            return definition, outcomes, happenings, f"{place}: there cannot be {happening}"
        ordered = {f"{run.state}/r"} if run.runs else set()
        if run.status == "running" and at_work != ordered:
            return definition, outcomes, happenings, f"{place}: after {happening} workers run {at_work}, not {ordered}"
    error = world.state.error.type if world.state.error is not None else ""
    there: object = world.status, error
    if world.status not in ("failed", "cancelled"):
        there = world.status, *world.configuration, world.variables
    if there == run.outcome():
        return None
    return definition, outcomes, happenings, f"there {there}, here {run.outcome()}"


@seeds
def test_whatever_happens_a_chart_lives_as_the_reference_says(seed: int) -> None:
    assert disagreement(seed) is None
