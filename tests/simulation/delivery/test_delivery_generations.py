"""Three generations of executions under faults: whatever happens to whom, all come to the same end, and each part of
each of them happens once.

Crashes at one in 70 calls, or more (`faults`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, FaultAt, Plan, at_every_call
from tests.simulation.delivery.invariants import require
from tests.simulation.delivery.world import TERMINAL, World, world

from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.replay import replay
from workflow_runtime.engine.turn import Known
from workflow_runtime.errors import NodeError, RequestError, RetryableError
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.services.dispatch.reads import Knowledge
from workflow_runtime.storage.stores import Stores

STEP = 70
ROUNDS = (0, 2, 4, 6)
OTHERS = ("middle", "bottom")


def middle_of(top: str, serial: int = 1) -> str:
    return child_execution_id(top, f"中#{serial}", "middle")


def bottom_of(middle: str) -> str:
    return child_execution_id(middle, "下#1", "bottom")


def family(disturbed: World) -> list[str]:
    """The executions that there are, from the oldest to the youngest."""
    middle = middle_of(disturbed.execution_id)
    ids = (disturbed.execution_id, middle, bottom_of(middle))
    return [id for id in ids if disturbed.calm.stores.executions.header(id) is not None]


def statuses(disturbed: World) -> list[str]:
    return [disturbed.calm.documents.status(id).value for id in family(disturbed)]


def ask(disturbed: World, operation: str) -> None:
    """Ask again and again until there is an answer, as a caller would."""
    while True:
        try:
            disturbed.runtime.control.ask(operation, disturbed.execution_id, "订单", operation)
        except (Crash, RetryableError):
            continue
        except RequestError:  # it has ended, or ends
            assert disturbed.document()["status"] in (*TERMINAL, "compensating")
        return


def check_all(disturbed: World) -> None:
    """Each has ended, its last commit is published, its journal leads to its state, and nothing is a dead letter."""
    stores = Stores(disturbed.raw)
    knowledge = Knowledge(disturbed.raw.table, stores)
    for id in family(disturbed):
        header, stored = stores.executions.header(id), stores.executions.load(id)
        assert header is not None
        assert stored is not None, f"{header.workflow_id} never began"
        require(stored.published, f"the last commit of {header.workflow_id} was never published")
        plan = disturbed.plans[header.workflow_id]
        first = new_execution(plan, id, header.workflow_version, header.started_at, header.parent, header.hops)
        fetch = lambda needs, plan=plan, id=id: knowledge.fetch(plan, id, needs, Known())  # noqa: E731
        require(replay(plan, first, stores.executions.journal(id), fetch) == stored.state, "replay gives another state")
        require(not disturbed.raw.table.query(f"EX#{id}", "DEAD#"), f"a dead letter of {header.workflow_id}")


def settle(disturbed: World) -> None:
    """Let everything happen, to the youngest: the oldest may have ended before."""
    disturbed.drain()
    for _ in range(50):
        if all(status in (*TERMINAL, "suspended") for status in statuses(disturbed)):
            return
        disturbed.clock.time += 200_000  # beyond leases and the sweep's distance
        disturbed.run_at_once(disturbed.sweeping())
        disturbed.drain()
    raise AssertionError(f"they do not come to rest: {statuses(disturbed)}")


# ---- what happens to them


def runs(disturbed: World) -> None:
    settle(disturbed)
    assert statuses(disturbed) == ["completed"] * 3
    assert disturbed.document()["output"] == {"x": 1}
    assert max(disturbed.effects.counts.values()) == 1


def cancelled(disturbed: World) -> None:
    ask(disturbed, "cancel")
    settle(disturbed)
    oldest, *others = statuses(disturbed)
    assert oldest == "cancelled"
    assert set(others) <= {"cancelled", "completed"}, "the youngest may have ended before it heard"


def cancelled_and_retried(disturbed: World) -> None:
    ask(disturbed, "cancel")
    settle(disturbed)
    retried(disturbed)


def retried_while_it_is_cancelled(disturbed: World) -> None:
    ask(disturbed, "cancel")
    while not disturbed.calm.documents.status(disturbed.execution_id).terminal:
        if not disturbed.drain_once():
            disturbed.clock.time += 1000
    retried(disturbed)


def retried(disturbed: World) -> None:
    ask(disturbed, "retry")
    settle(disturbed)
    assert statuses(disturbed) == ["completed"] * 3
    assert disturbed.document()["output"] == {"x": 1}


def suspended_and_resumed(disturbed: World) -> None:
    ask(disturbed, "suspend")
    disturbed.drain()
    disturbed.clock.time += 3600 * 1000
    disturbed.run_at_once(disturbed.sweeping())
    disturbed.drain()
    assert set(statuses(disturbed)) <= {"suspended", "completed"}
    if disturbed.document()["status"] == "suspended":
        ask(disturbed, "resume")
    settle(disturbed)
    assert statuses(disturbed) == ["completed"] * 3


def suspended_and_cancelled(disturbed: World) -> None:
    ask(disturbed, "suspend")
    disturbed.drain()
    ask(disturbed, "cancel")
    settle(disturbed)
    assert set(statuses(disturbed)) <= {"cancelled", "completed"}
    assert disturbed.document()["status"] == "cancelled"


def failed_and_retried(disturbed: World) -> None:
    failing = True

    def c(call: NodeCall) -> object:
        if failing:
            raise NodeError("broken", "坏")
        return call.inputs

    disturbed.behaviours["c"] = c
    settle(disturbed)
    assert statuses(disturbed) == ["failed"] * 3
    error = disturbed.document()["error"]
    assert (error["type"], error["node"], error["cause"]["node"]) == ("broken", "中", "下")
    assert disturbed.calm.documents.document(family(disturbed)[1])["compensation"] == "completed"
    failing = False
    retried(disturbed)


STORIES: dict[str, Callable[[World], None]] = {
    story.__name__: story
    for story in (
        runs,
        cancelled,
        cancelled_and_retried,
        retried_while_it_is_cancelled,
        suspended_and_resumed,
        suspended_and_cancelled,
        failed_and_retried,
    )
}


def tell(seed: int, faults: Plan, story: str, rounds: int) -> None:
    with world("top", seed, faults, OTHERS) as disturbed:
        disturbed.start()
        for _ in range(rounds):
            disturbed.drain_once()
        STORIES[story](disturbed)
        check_all(disturbed)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p8_a_fault_at_any_call_changes_nothing_of_what_becomes_of_three_generations(
    story: str, fault: Fault, rounds: int
) -> None:
    at_every_call(tell, fault, story, rounds, step=STEP)


def timed_out(seed: int, faults: Plan) -> None:
    """The node's time is over before its execution ends, twice: both are cancelled with all below, and it goes on."""
    with world("impatient", seed, faults, OTHERS) as disturbed:
        disturbed.start()
        settle(disturbed)
        assert disturbed.document()["status"] == "completed"
        entry = disturbed.document()["node_executions"]["中"]
        late = entry["error"] is None  # a dispatcher died, and until its messages came again the child could end
        assert late or entry["error"]["type"] == "timeout"
        for serial in (1, 2):
            middle = middle_of(disturbed.execution_id, serial)
            below = [id for id in (middle, bottom_of(middle)) if disturbed.calm.stores.executions.header(id)]
            found = {disturbed.calm.documents.status(id).value for id in below}
            # A dispatcher that dies before it tells the child leaves that the time to come to its end.
            assert found <= ({"cancelled", "completed"} if late or isinstance(faults, FaultAt) else {"cancelled"})
        check_all(disturbed)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p8_a_fault_at_any_call_does_not_save_a_generation_from_a_timeout(fault: Fault) -> None:
    at_every_call(timed_out, fault, step=STEP // 2)


def forgotten(seed: int, faults: Plan) -> None:
    """The parent ends as it hears that the child is there; the child runs to its own end."""
    with world("forgetful", seed, faults, OTHERS) as disturbed:
        disturbed.start()
        disturbed.drain()
        document = disturbed.document()
        assert document["status"] == "completed"
        child = child_execution_id(disturbed.execution_id, "中#1", "bottom")
        assert document["output"] == child
        for _ in range(50):
            if disturbed.calm.documents.status(child).terminal:
                break
            disturbed.clock.time += 200_000
            disturbed.run_at_once(disturbed.sweeping())
            disturbed.drain()
        assert disturbed.calm.documents.status(child) == "completed"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p1_p8_an_execution_that_nobody_waits_for_runs_wherever_its_parent_crashed(fault: Fault) -> None:
    at_every_call(forgotten, fault, step=3)
