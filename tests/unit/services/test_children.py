"""Sub-workflows at work: starts, ends, errors, requests and their order, through the real services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.services.replaying import assert_replays
from tests.unit.services.test_control import World

from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.invokers.invocation import NodeCall

PARENT = """
workflow:
  id: parent
  nodes:
    - {id: 订单, type: sub_workflow, workflow_id: child, inputs: {n: "${n}"}}
    - {id: after, type: control, subtype: pass, inputs: {got: "${订单.doubled}"}}
"""
CHILD = """
workflow:
  id: child
  input_schema: {type: object, properties: {n: {type: number}}, required: [n]}
  nodes: [{id: double, type: tool, tool: act, inputs: {n: "${n}"}}]
"""


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.act = lambda call: {"doubled": call.inputs["n"] * 2}
    with world.runtime:
        yield world


def start(world: World, *sources: str, input: Any = None) -> str:
    for source in sources:
        world.services.catalog.publish(source.encode())
    return world.services.starter.start("parent", {"n": 21} if input is None else input)


def entry(world: World, execution: str, path: str) -> Any:
    return world.services.documents.document(execution)["node_executions"][path]


def child_of(parent: str, path: str = "订单", serial: int = 1, workflow: str = "child") -> str:
    return child_execution_id(parent, f"{path}#{serial}", workflow)


def fail(_: NodeCall) -> Any:
    raise ValueError("no luck")


def test_a_node_yields_what_its_execution_yields(world: World) -> None:
    parent = start(world, CHILD, PARENT)
    assert world.run(parent) == "completed"
    assert entry(world, parent, "after")["output"] == {"got": 42}
    assert entry(world, parent, "订单")["output"] == {"doubled": 42}
    assert world.status(child_of(parent)) == "completed"
    assert_replays(world.services, parent)
    assert_replays(world.services, child_of(parent))


def test_an_error_travels_up_with_its_cause(world: World) -> None:
    world.act = fail
    parent = start(world, CHILD, PARENT)
    assert world.run(parent) == "failed"
    assert entry(world, parent, "订单")["error"] == {
        "type": "execution_error",
        "message": "tool 'act': ValueError: no luck",
        "cause": {"execution_id": child_of(parent), "node": "double"},
    }


@pytest.mark.parametrize(
    ("parent", "input", "type"),
    [
        (PARENT.replace("workflow_id: child", "workflow_id: nobody"), None, "not_found"),
        (PARENT.replace("workflow_id: child", "workflow_id: child, version: 7"), None, "not_found"),
        (PARENT, {"n": "many"}, "validation_error"),
    ],
)
@pytest.mark.parametrize("wait", [True, False])
def test_a_child_that_cannot_start_ends_its_node_at_once(
    world: World, parent: str, input: Any, type: str, wait: bool
) -> None:
    source = parent if wait else parent.replace("type: sub_workflow", "type: sub_workflow, wait: false")
    execution = start(world, CHILD, source, input=input)
    assert world.run(execution) == "failed"
    error = entry(world, execution, "订单")["error"]
    assert error["type"] == type
    assert "cause" not in error
    assert_replays(world.services, execution)


def test_a_node_that_does_not_wait_yields_the_execution(world: World) -> None:
    source = PARENT.replace("type: sub_workflow", "type: sub_workflow, wait: false")
    waiting = "workflow: {id: child, nodes: [{id: w, type: control, subtype: wait, duration: 1d}]}"
    parent = start(world, waiting, source)
    assert world.run(parent) == "completed"
    assert entry(world, parent, "订单")["output"] == {"execution_id": child_of(parent)}
    assert world.status(child_of(parent)) == "running"


def test_a_retry_of_the_node_starts_another_execution(world: World) -> None:
    source = PARENT.replace("inputs: {n:", "retry_policy: {max_retries: 1, retry_delay: 0}, inputs: {n:", 1)
    calls = iter([fail, lambda _: {"doubled": 1}])
    world.act = lambda call: next(calls)(call)
    parent = start(world, CHILD, source)
    assert world.run(parent) == "completed"
    assert world.status(child_of(parent)) == "failed"
    assert world.status(child_of(parent, serial=2)) == "completed"


def test_a_timeout_of_the_node_cancels_its_execution(world: World) -> None:
    source = PARENT.replace("inputs: {n:", "timeout: 5m, inputs: {n:", 1)
    waiting = "workflow: {id: child, nodes: [{id: w, type: control, subtype: wait, duration: 1d}]}"
    parent = start(world, waiting, source)
    asyncio.run(world.runtime.pump.run(lambda: world.status(parent) != "running" and world.status(parent) != "pending"))
    world.run(parent)
    assert world.status(parent) == "failed"
    assert entry(world, parent, "订单")["error"]["type"] == "timeout"
    assert world.status(child_of(parent)) == "cancelled"


def test_a_child_that_is_cancelled_by_itself_fails_its_node(world: World) -> None:
    waiting = "workflow: {id: child, nodes: [{id: w, type: control, subtype: wait, duration: 1d}]}"
    parent = start(world, waiting, PARENT)
    world.run(parent)
    world.control.ask("cancel", child_of(parent))
    assert world.run(parent) == "failed"
    assert entry(world, parent, "订单")["error"]["type"] == "cancelled"


def test_an_operators_retry_reopens_the_same_child(world: World) -> None:
    world.act = fail
    parent = start(world, CHILD, PARENT)
    assert world.run(parent) == "failed"
    world.act = lambda _: {"doubled": 42}
    world.control.ask("retry", parent)
    assert world.run(parent) == "completed"
    assert world.status(child_of(parent)) == "completed"
    assert world.services.documents.document(child_of(parent))["attempt"] == 2
    assert entry(world, parent, "订单")["output"] == {"doubled": 42}
    assert world.services.stores.executions.header(child_of(parent, serial=2)) is None
    assert_replays(world.services, parent)
    assert_replays(world.services, child_of(parent))
