"""Random graphs that fail, or are cancelled, at random and are retried until nothing fails: they end as those did that
never failed, and run nothing twice that had succeeded.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from tests.simulation.engine.definitions import Builder
from tests.simulation.engine.test_engine_simulation import answered, driven, outcome_of, seeds
from tests.unit.engine.driver import START, Driver, Failure

from workflow_runtime.engine.events import CancelRequested, NodeSucceeded, RetryRequested

FAILURES_MAX = 5


def disturbed(plan: Any, outcomes: dict[str, Any], random: Random) -> Driver:
    """The execution, played to its end over failures, cancellations and retries."""
    driver = Driver(plan, attach=random.random() < 0.8).start()
    left = FAILURES_MAX
    for number in range(1_000):
        if driver.state.status.terminal:
            if driver.status == "completed":
                return driver
            driver.take(RetryRequested(f"control:retry{number}", START))
            continue
        if left and random.random() < 0.1:
            left -= 1
            driver.take(CancelRequested(f"control:cancel{number}", START))
            continue
        path = random.choice(list(driver.ordered))
        fails = left and random.random() < 0.3
        left -= bool(fails)
        driver.take(answered(driver, path, outcomes[path]) if not fails else driver.answer(path, Failure()))
        if driver.sent and random.random() < 0.2:
            driver.take(random.choice(driver.sent))
    raise AssertionError("it does not end")


def ran(driver: Driver) -> Counter[str]:
    """How often each node succeeded."""
    taken = {event.event_id: event.path for event in driver.sent if isinstance(event, NodeSucceeded)}
    ignored = {id for id, reason in driver.ignored if "known already" not in reason}
    return Counter(path for id, path in taken.items() if id not in ignored)


@seeds
def test_an_execution_that_is_retried_ends_as_if_nothing_had_failed(seed: int) -> None:
    random = Random(seed)
    builder = Builder(random, racing=False, failing=False)
    definition, outcomes = builder.definition(), builder.outcomes()
    if any(node.get("join") == "all_done" for node in definition["nodes"]):
        return  # what runs after a failure, too, has seen it
    calm = driven(definition, outcomes, random)
    if calm is None:
        return
    driver = disturbed(calm.plan, outcomes, random)
    assert outcome_of(driver) == outcome_of(calm), (definition, outcomes)
    assert set(ran(driver).values()) <= {1}, (definition, outcomes)
    assert driver.replayed() == driver.state
    assert not driver.state.in_flight
    assert not driver.state.pending


@seeds
def test_whatever_fails_can_be_retried_until_it_completes(seed: int) -> None:
    random = Random(seed)
    builder = Builder(random)
    definition = builder.definition()
    if any(node.get("subtype") == "fail" for node in definition["nodes"]):
        return
    outcomes = {node["id"]: {"v": random.randint(0, 1)} for node in definition["nodes"]}
    calm = driven(definition, outcomes, random)
    if calm is None or calm.status != "completed":
        return  # an aggregation of nothing fails each time
    try:
        driver = disturbed(calm.plan, outcomes, random)
    except AssertionError as error:
        raise AssertionError(definition, outcomes) from error
    assert driver.replayed() == driver.state
