"""Random graphs whose nodes fail, and say what is to be done about it, against the reference interpreter."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

from tests.simulation.engine.definitions import Builder
from tests.simulation.engine.recovery import Recovering, Script, recovering, scripts, taken
from tests.simulation.engine.reference import Graph, Outcome
from tests.simulation.engine.test_engine_simulation import ORDERS_TRIED, answered, comparable, outcome_of, seeds
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_workflow


def played(definition: dict[str, Any], outcomes: dict[str, Script], random: Random) -> tuple[Driver, list[str]] | None:
    """The execution, played to its end, and the paths of the results in the order they came."""
    plan = compile_workflow(json.dumps({"workflow": definition})).plan
    if plan is None:
        return None
    driver = Driver(plan, attach=random.random() < 0.8).start()
    order: list[str] = []
    while driver.ordered:
        paths = random.sample(list(driver.ordered), min(len(driver.ordered), random.randint(1, 3)))
        order += paths
        driver.take(*(answered(driver, path, taken(outcomes[path])) for path in paths))
    return driver, order


def is_allowed(outcome: Outcome, definition: dict[str, Any], outcomes: dict[str, Script], order: list[str]) -> bool:
    graph = Graph(json.loads(json.dumps(definition)))
    for number in range(ORDERS_TRIED):
        shuffle = Random(number).shuffle if number > 1 else [lambda _: None, list.reverse][number]
        run = Recovering(graph, deepcopy(outcomes), definition["error_handlers"], shuffle)
        run.scan()
        for path in order:
            run.arrive(path)
        if comparable(run.outcome(definition)) == outcome:
            return True
    return False


@seeds
def test_failures_are_dealt_with_as_the_reference_says(seed: int) -> None:
    random = Random(seed)
    definition = recovering({**Builder(random).definition(), "limits": {}}, random)
    outcomes = scripts(definition, random)
    found = played(definition, deepcopy(outcomes), random)
    if found is None:
        return  # no workflow: a cycle, or a join that cannot be met
    driver, order = found
    assert driver.state.status.terminal
    assert is_allowed(outcome_of(driver), definition, outcomes, order), (definition, outcomes, order)
    assert driver.replayed() == driver.state
    assert not driver.state.in_flight
