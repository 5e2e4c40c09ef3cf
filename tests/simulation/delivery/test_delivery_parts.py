"""A loop whose passes run in an execution of their own, under faults: whatever happens to whom, both come to the same
end, and each pass happens once.

Crashes at one in 70 calls, or more (`faults`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.delivery.faults import FAULTS, Fault, Plan, at_every_call
from tests.simulation.delivery.invariants import require
from tests.simulation.delivery.test_delivery_generations import ROUNDS, STEP, ask
from tests.simulation.delivery.world import TERMINAL, World, world

from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.replay import replay
from workflow_runtime.engine.turn import Known
from workflow_runtime.services.dispatch.reads import Knowledge
from workflow_runtime.storage.stores import Stores


def both(disturbed: World) -> list[str]:
    """The execution and, once it is there, the part of its loop."""
    part = child_execution_id(disturbed.execution_id, "各[0]#1", "parted")
    ids = (disturbed.execution_id, part)
    return [id for id in ids if disturbed.calm.stores.executions.header(id) is not None]


def statuses(disturbed: World) -> list[str]:
    return [disturbed.calm.documents.status(id).value for id in both(disturbed)]


def settle(disturbed: World) -> None:
    disturbed.drain()
    for _ in range(50):
        if all(status in TERMINAL for status in statuses(disturbed)):
            return
        disturbed.clock.time += 200_000  # beyond leases and the sweep's distance
        disturbed.run_at_once(disturbed.sweeping())
        disturbed.drain()
    raise AssertionError(f"they do not come to rest: {statuses(disturbed)}")


def check_all(disturbed: World) -> None:
    """Each has ended, its last commit is published, its journal leads to its state, and nothing is a dead letter."""
    stores = Stores(disturbed.raw)
    knowledge = Knowledge(disturbed.raw.table, stores)
    for id in both(disturbed):
        header, stored = stores.executions.header(id), stores.executions.load(id)
        assert header is not None
        assert stored is not None, f"{id} never began"
        require(stored.published, f"the last commit of {id} was never published")
        plan = stores.workflows.plan(header.plan_hash)
        first = new_execution(plan, id, header.workflow_version, header.started_at, header.parent, header.hops)
        fetch = lambda needs, plan=plan, id=id: knowledge.fetch(plan, id, needs, Known())  # noqa: E731
        require(replay(plan, first, stores.executions.journal(id), fetch) == stored.state, "replay gives another state")
        require(not disturbed.raw.table.query(f"EX#{id}", "DEAD#"), f"a dead letter of {id}")


def runs(disturbed: World) -> None:
    settle(disturbed)
    assert statuses(disturbed) == ["completed"] * 2
    assert disturbed.document()["output"] == {"x": [2, 3, 4]}
    assert max(disturbed.effects.counts.values()) == 1


def cancelled(disturbed: World) -> None:
    ask(disturbed, "cancel")
    settle(disturbed)
    whole, *part = statuses(disturbed)
    assert whole == "cancelled"
    assert set(part) <= {"cancelled", "completed"}, "the part may have ended before it heard"


def cancelled_and_retried(disturbed: World) -> None:
    cancelled(disturbed)
    ask(disturbed, "retry")
    settle(disturbed)
    assert disturbed.document()["output"] == {"x": [2, 3, 4]}


STORIES: dict[str, Callable[[World], None]] = {s.__name__: s for s in (runs, cancelled, cancelled_and_retried)}


def tell(seed: int, faults: Plan, story: str, rounds: int) -> None:
    with world("parted", seed, faults) as disturbed:
        disturbed.start()
        for _ in range(rounds):
            disturbed.drain_once()
        STORIES[story](disturbed)
        check_all(disturbed)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p8_a_fault_at_any_call_changes_nothing_of_what_becomes_of_a_part(
    story: str, fault: Fault, rounds: int
) -> None:
    at_every_call(tell, fault, story, rounds, step=STEP)
