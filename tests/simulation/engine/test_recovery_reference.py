"""Random graphs whose nodes fail, and say what is to be done and undone, against the reference interpreter."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

from tests.simulation.engine.definitions import Builder
from tests.simulation.engine.recovery import Recovering, Script, recovering, scripts, taken
from tests.simulation.engine.reference import Graph, Outcome
from tests.simulation.engine.test_engine_simulation import ORDERS_TRIED, answered, comparable, outcome_of, seeds
from tests.simulation.engine.undoing import CANCEL, UNDO, Undoing, Undone, undo_scripts, undoable
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.engine.commands import RunNode, SetStatus
from workflow_runtime.engine.events import CancelRequested
from workflow_runtime.engine.lifecycle import Mark


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


def undone(driver: Driver, told: dict[tuple[str, int], Any]) -> list[Undone]:
    """Visits in the order in which their undoing began; ``told``: what compensations were given."""
    found = []
    for place, fate in sorted(driver.state.fates.items(), reverse=True):
        visit = driver.state.undo[place]
        id = driver.plan.node(visit.number).id
        found.append((id, fate.mark == Mark.SUCCESS, told[id + UNDO, fate.serial]))
    return found


def played_and_undone(definition: dict[str, Any], outcomes: dict[str, Script], random: Random) -> Any:
    """The execution, played to its end, perhaps cancelled; the results in the order they came; what was undone."""
    plan = compile_workflow(json.dumps({"workflow": definition})).plan
    if plan is None:
        return None
    driver = Driver(plan, attach=random.random() < 0.8).start()
    order: list[str] = []
    told: dict[tuple[str, int], Any] = {}
    cancels = random.randint(0, 3)
    while driver.ordered:
        if len(order) >= cancels and CANCEL not in order and random.random() < 0.3:
            order.append(CANCEL)
            driver.take(CancelRequested("control:c", driver.now))
            continue
        paths = random.sample(list(driver.ordered), min(len(driver.ordered), random.randint(1, 3)))
        order += paths
        told |= {(path, driver.ordered[path].serial): driver.inputs(path) for path in paths if path.endswith(UNDO)}
        driver.take(*(answered(driver, path, taken(outcomes[path])) for path in paths))
    return driver, order, undone(driver, told)


@seeds
def test_what_succeeded_is_undone_as_the_reference_says(seed: int) -> None:
    random = Random(seed)
    definition = {**Builder(random).definition(), "limits": {}, "error_handlers": []}
    definition = undoable(recovering(definition, random) if random.random() < 0.5 else definition, random)
    outcomes = {**scripts(definition, random), **undo_scripts(definition, random)}
    found = played_and_undone(definition, deepcopy(outcomes), random)
    if found is None:
        return
    driver, order, ledger = found
    assert driver.state.status.terminal
    assert driver.replayed() == driver.state
    assert not driver.state.in_flight
    *before, last = driver.commands(SetStatus)
    if any(command.status == "compensating" for command in before):
        assert last.compensation == ("completed" if all(well for _, well, _ in ledger) else "failed")
    else:
        assert (last.compensation, ledger) == ("", [])
    if definition["compensation"]["order"] == "reverse":
        begun = [order.path for order in driver.commands(RunNode) if order.path.endswith(UNDO) and order.attempt == 1]
        assert begun == [id + UNDO for id, _, _ in ledger]
    for number in range(ORDERS_TRIED):
        shuffle = Random(number).shuffle if number > 1 else [lambda _: None, list.reverse][number]
        run = Undoing(json.loads(json.dumps(definition)), deepcopy(outcomes), shuffle)
        run.scan()
        run.end_if_over()
        for path in order:
            run.arrive(path)
        if (comparable(run.outcome(definition)), run.ledger()) == (outcome_of(driver), ledger):
            return
    raise AssertionError((definition, outcomes, order, outcome_of(driver), ledger))
