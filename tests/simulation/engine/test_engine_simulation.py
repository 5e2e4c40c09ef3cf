"""Random graphs under random orders of results, with repeats and in random batches, against the reference interpreter.

ENGINE_EXAMPLES=5000 runs more of them.
"""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any

from tests.seeds import for_seeds
from tests.simulation.engine.definitions import Builder
from tests.simulation.engine.reference import Graph, Outcome, Run
from tests.unit.engine.driver import Driver, Failure

from workflow_runtime.compiler import compile_workflow

EXAMPLES = int(os.environ.get("ENGINE_EXAMPLES", "20"))
ORDERS_TRIED = 200  # of the reference's scan, where the language leaves open what comes first
seeds = for_seeds(range(EXAMPLES))


def driven(definition: dict[str, Any], outcomes: dict[str, Any], random: Random, limits: bool = True) -> Driver | None:
    """The execution, played to its end; None if the definition does not compile."""
    document = definition if limits else {**definition, "limits": {}}
    plan = compile_workflow(json.dumps({"workflow": document})).plan
    if plan is None:
        return None
    driver = Driver(plan, attach=random.random() < 0.8)
    driver.start()
    while driver.ordered:
        paths = list(driver.ordered)
        random.shuffle(paths)
        batch = [answered(driver, path, outcomes[path]) for path in paths[: random.randint(1, 3)]]
        if driver.sent and random.random() < 0.3:
            batch.insert(random.randint(0, len(batch)), random.choice(driver.sent))
        driver.take(*batch)
    return driver


def answered(driver: Driver, path: str, outcome: Any) -> Any:
    return driver.answer(path, Failure(outcome[1]) if isinstance(outcome, tuple) else outcome)


def outcome_of(driver: Driver) -> Outcome:
    return comparable((driver.status, driver.nodes, driver.output, driver.error))


def comparable(outcome: Outcome) -> Outcome:
    """Whether a node that was withdrawn had just become ready is a race inside one decision."""
    status, nodes, output, error = outcome
    return (
        status,
        {id: "off" if value in ("skipped", "cancelled") else value for id, value in nodes.items()},
        output,
        error,
    )


def is_allowed(outcome: Outcome, definition: dict[str, Any], outcomes: dict[str, Any], order: list[str]) -> bool:
    """Whether the reference finds this outcome for results that come in this order."""
    graph = Graph(json.loads(json.dumps(definition)))
    for number in range(ORDERS_TRIED):
        shuffle = Random(number).shuffle if number > 1 else [lambda _: None, list.reverse][number]
        run = Run(graph, outcomes, shuffle)
        run.scan()
        for path in order:
            run.arrive(path)
        if comparable(run.outcome(definition)) == outcome:
            return True
    return False


@seeds
def test_an_execution_ends_as_the_reference_says(seed: int) -> None:
    random = Random(seed)
    builder = Builder(random)
    definition, outcomes = builder.definition(), builder.outcomes()
    driver = driven(definition, outcomes, random)
    if driver is None:
        return  # no workflow: a cycle, or a join that cannot be met
    order = [event.path for event in driver.sent if hasattr(event, "path")]
    assert driver.state.status.terminal
    assert is_allowed(outcome_of(driver), definition, outcomes, order), (definition, outcomes, order)
    assert driver.replayed() == driver.state


@seeds
def test_without_races_every_order_of_results_ends_the_same(seed: int) -> None:
    random = Random(seed)
    builder = Builder(random, racing=False, failing=False)
    definition, outcomes = builder.definition(), builder.outcomes()
    drivers = [driven(definition, outcomes, random) for _ in range(3)]
    ends = [outcome_of(driver) for driver in drivers if driver is not None]
    assert all(end == ends[0] for end in ends), (definition, outcomes)
    assert all(status == "completed" for status, *_ in ends)


@seeds
def test_batches_make_no_difference(seed: int) -> None:
    random = Random(seed)
    builder = Builder(random)
    definition, outcomes = builder.definition(), builder.outcomes()
    one = driven(definition, outcomes, random, limits=False)
    if one is None:
        return
    other = Driver(one.plan).start()
    for event in one.sent[1:]:
        if getattr(event, "path", None) in other.ordered:
            other.take(answered(other, event.path, outcomes[event.path]))
    assert outcome_of(other) == outcome_of(one), (definition, outcomes)


@seeds
def test_terminal_is_final(seed: int) -> None:
    builder = Builder(Random(seed))
    definition, outcomes = builder.definition(), builder.outcomes()
    driver = driven(definition, outcomes, Random(seed))
    if driver is not None:
        assert not any(driver.take(late).changed for late in list(driver.sent))
