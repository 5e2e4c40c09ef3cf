"""What the engine makes of agents that have yielded: what their calls wait for, and the next run."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import START, Driver, plan_of

from workflow_runtime.engine.awaited import CallAnswer, Wait
from workflow_runtime.engine.commands import AskApproval, CloseTask, ControlChild, RunNode, StartChild
from workflow_runtime.engine.events import (
    ApprovalAnswered,
    CancelRequested,
    ChildEnded,
    NodeYielded,
    ResumeRequested,
    SuspendRequested,
    TaskCompleted,
)
from workflow_runtime.engine.graph.agents import IDLE_MAX, SERIALS_MAX
from workflow_runtime.engine.waiting import Cause, open_nodes

HOUR = 3_600_000
ASK = Wait("tool:pay#1.x", "tool", "pay", {"amount": 5}, prompt="May it pay?")
TOKEN = Wait("callback:ship#1.y", "callback", "ship", task="h1", timeout=2 * HOUR)
CHILD = Wait("workflow:deep#1.z", "workflow", "deep", {"x": 1})


def begun(**fields: Any) -> Driver:
    node = {"id": "a", "type": "agent", "agent": "a", **fields}
    return Driver(plan_of([node, {"id": "then", "inputs": {"x": "${a.x}"}}])).start()


def yielded(driver: Driver, *waits: Wait, steps: int = 1, ms: int = 0, path: str = "a") -> RunNode:
    """The current run ends so; its order, as its record keeps it."""
    order = driver.ordered.pop(path)
    at = driver.state.now + ms
    driver.orders[path, order.serial] = order
    driver.take(
        NodeYielded(f"run:{path}#{order.serial}", at, path, order.serial, started_at=at - ms, waits=waits, steps=steps)
    )
    return order


def commands(driver: Driver) -> list[Any]:
    return [command for entry in driver.journal for command in entry.commands]


def approved(number: int = 1, *, yes: bool = True, **fields: Any) -> ApprovalAnswered:
    return ApprovalAnswered(f"approval:{number}:k", START, number, "li", yes, **fields)


def test_the_next_run_is_ordered_when_all_is_in() -> None:
    driver = begun()
    yielded(driver, ASK, TOKEN)
    causes = {node.path: node.cause for node in open_nodes(driver.plan, driver.state)}
    assert causes["a"] is Cause.APPROVAL
    driver.take(approved())
    assert "a" not in driver.ordered
    driver.take(TaskCompleted("task:h1", START, "a", 1, "h1", {"y": 2}, call=TOKEN.id))
    second = driver.ordered["a"]
    assert (second.serial, second.visit, second.attempt) == (2, 1, 1)
    assert second.answers == {ASK.id: CallAnswer(approved=True, by="li"), TOKEN.id: CallAnswer({"y": 2})}
    assert driver.state.pending == {}
    assert driver.replayed() == driver.state


def test_an_agent_whose_function_ends_goes_on_at_once() -> None:
    driver = begun(timeout="3h")
    yielded(driver, ms=800_000)
    yielded(driver, ms=700_000)
    order = driver.ordered["a"]
    assert (order.serial, order.attempt, order.used) == (3, 1, 1_500_000)


def test_people_are_shown_the_arguments_and_may_change_them() -> None:
    driver = begun()
    yielded(driver, ASK)
    [asked] = [command for command in commands(driver) if isinstance(command, AskApproval)]
    assert (asked.kind, asked.tool, asked.data, asked.prompt) == ("tool", "pay", {"amount": 5}, "May it pay?")
    driver.take(approved(data={"amount": 4}))
    assert driver.ordered["a"].answers[ASK.id].value == {"amount": 4}


def test_a_workflow_that_a_call_stands_for_runs_below_the_node() -> None:
    driver = begun()
    yielded(driver, CHILD)
    [start] = [command for command in commands(driver) if isinstance(command, StartChild)]
    assert (start.workflow_id, start.input, start.node) == ("deep", {"x": 1}, "a/tools/1")
    driver.take(ChildEnded("child:c", START, start.token, "c", "completed", {"deep": True}))
    assert driver.ordered["a"].answers == {CHILD.id: CallAnswer({"deep": True})}


def test_what_a_cancelled_agent_waits_for_ends_with_it() -> None:
    driver = begun()
    yielded(driver, ASK, TOKEN, CHILD)
    driver.take(CancelRequested("control:c", START))
    kinds = {type(command) for command in commands(driver)}
    assert {CloseTask, ControlChild} <= kinds
    assert driver.state.pending == {}


def test_an_agent_that_undoes_something_asks_and_waits_too() -> None:
    undo = {"agent": "a", "inputs": {"was": "${output}"}}
    driver = Driver(plan_of([{"id": "book", "compensate": undo}, {"id": "b", "dependencies": ["book"]}])).start()
    driver.succeed("book", {"id": 7})
    driver.fail("b")
    first = yielded(driver, ASK, TOKEN, CHILD, path="book~compensate")
    driver.take(approved(yes=False))
    driver.take(TaskCompleted("task:h1", START, "book~compensate", 1, "h1", {"y": 2}, call=TOKEN.id))
    [start] = [command for command in commands(driver) if isinstance(command, StartChild)]
    driver.take(ChildEnded("child:c", START, start.token, "c", "completed", {"deep": True}))
    second = driver.ordered["book~compensate"]
    assert (second.serial, second.undoes, second.answers[ASK.id].approved) == (2, first.undoes, False)
    driver.succeed("book~compensate")
    assert driver.status == "failed"
    assert driver.replayed() == driver.state


def test_a_suspended_agent_goes_on_when_it_is_resumed() -> None:
    driver = begun()
    driver.take(SuspendRequested("control:s", START))
    yielded(driver)
    assert "a" not in driver.ordered
    driver.take(ResumeRequested("control:r", START))
    assert driver.ordered["a"].serial == 2
    assert driver.replayed() == driver.state


@pytest.mark.parametrize(("runs", "steps"), [(IDLE_MAX + 1, 0), (SERIALS_MAX, 1)])
def test_an_agent_that_gets_nowhere_fails(runs: int, steps: int) -> None:
    driver = begun()
    for _ in range(runs):
        assert driver.nodes["a"] == "ready"
        yielded(driver, steps=steps)
    assert driver.nodes["a"] == "failed"


def test_a_retry_goes_on_or_begins_anew_as_its_policy_says() -> None:
    for fresh, log in ((None, 1), (True, 1), (False, 0)):
        policy = {"max_retries": 1, "jitter": "none", **({"fresh": fresh} if fresh is not None else {})}
        driver = begun(retry_policy=policy)
        driver.orders["a", 1] = replace(driver.ordered["a"], fresh=True)  # as its worker keeps it
        driver.fail("a")
        driver.elapse(2)
        assert (driver.ordered["a"].attempt, driver.ordered["a"].log) == (2, log)


def test_going_on_keeps_what_retries_have_counted() -> None:
    driver = begun(retry_policy={"max_retries": 1, "jitter": "none"}, timeout="1h")
    driver.fail("a")
    driver.elapse(2)
    yielded(driver, ms=500_000)
    assert (driver.ordered["a"].attempt, driver.ordered["a"].used) == (2, 500_000)
    driver.fail("a")
    assert driver.nodes["a"] == "failed"


def test_another_attempt_has_its_timeout_whole() -> None:
    driver = begun(retry_policy={"max_retries": 1, "jitter": "none"}, timeout="1h")
    yielded(driver, ms=500_000)
    driver.fail("a")
    driver.elapse(2)
    assert (driver.ordered["a"].attempt, driver.ordered["a"].used) == (2, 0)
