"""Sub-workflows at work: starts, ends, errors, requests and their order, through the real services."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.services.replaying import assert_replays
from tests.unit.services.test_control import World

from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.errors import RequestError
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


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("first", ["parent", "child"])
def test_a_child_that_nobody_awaits_is_cancelled_by_itself_only(world: World, first: str, settled: bool) -> None:
    forgetful = "workflow: {id: parent, nodes: [{id: 订单, type: sub_workflow, workflow_id: child, wait: false}, %s]}"
    waiting = "{id: w, type: control, subtype: wait, event: go}"
    child = f"workflow: {{id: child, nodes: [{waiting}]}}"
    parent = start(world, child, forgetful % waiting)
    assert world.run(parent) == "running"
    ids = {"parent": parent, "child": child_of(parent)}
    second = "child" if first == "parent" else "parent"
    world.control.ask("cancel", ids[first])
    if settled:
        assert (world.run(ids[first]), world.run(ids[second])) == ("cancelled", "running")
    world.control.ask("cancel", ids[second])
    assert (world.run(parent), world.run(ids["child"])) == ("cancelled", "cancelled")
    for id in ids.values():
        assert_replays(world.services, id)


def test_a_retry_of_the_node_starts_another_execution(world: World) -> None:
    source = PARENT.replace("inputs: {n:", "retry_policy: {max_retries: 1, retry_delay: 0}, inputs: {n:", 1)
    outcomes: list[Callable[[NodeCall], Any]] = [lambda _: {"doubled": 1}, fail]
    world.act = lambda call: outcomes.pop()(call)
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


MANUAL = """
workflow:
  id: manual
  nodes: [{id: ask, type: control, subtype: pass, inputs: {doubled: 7, asked: "${n}"}}]
"""


def test_a_workflow_runs_in_the_place_of_a_node_that_failed(world: World) -> None:
    world.act = fail
    source = PARENT.replace("inputs: {n:", "fallback: {workflow_id: manual}, inputs: {n:", 1)
    parent = start(world, CHILD, MANUAL, source)
    assert world.run(parent) == "completed"
    assert entry(world, parent, "订单")["fallback_used"]
    assert entry(world, parent, "订单")["output"] == {"doubled": 7, "asked": 21}
    assert entry(world, parent, "订单~fallback")["child"] == child_of(parent, "订单~fallback", 1, "manual")
    assert_replays(world.services, parent)


@pytest.mark.parametrize("target", ["manual", "nobody"])
def test_a_handler_may_name_a_workflow(world: World, target: str) -> None:
    world.act = fail
    handlers = f"error_handlers: [{{action: {{type: fallback, target: {target}}}}}]"
    parent = start(world, CHILD, MANUAL, PARENT.replace("id: parent", f"id: parent\n  {handlers}"))
    found = world.run(parent)
    shown = entry(world, parent, "订单")
    if target == "manual":
        assert found == "completed"
        assert (shown["fallback_used"], shown["output"]) == (True, {"doubled": 7, "asked": 21})
    else:
        assert found == "failed"
        assert shown["error"]["message"] == "tool 'act': ValueError: no luck", "the original error stands"
        assert shown["fallback_error"]["type"] == "not_found"


UNDONE = """
workflow:
  id: parent
  nodes:
    - id: 订单
      type: sub_workflow
      workflow_id: child
      inputs: {n: "${n}"}
      compensate: {workflow_id: undo, inputs: {was: "${inputs.n}", got: "${output.doubled}", why: "${error.type}"}}
    - {id: ends, type: control, subtype: fail, error: broken, message: it is, dependencies: [订单]}
"""
UNDO = """
workflow:
  id: undo
  nodes: [{id: told, type: control, subtype: pass, inputs: {was: "${was}", got: "${got}", why: "${why}"}}]
"""


def test_a_workflow_undoes_a_workflow(world: World) -> None:
    parent = start(world, CHILD, UNDO, UNDONE)
    assert world.run(parent) == "failed"
    document = world.services.documents.document(parent)
    assert document["compensation"] == "completed"
    undoing = child_of(parent, "订单~compensate", 1, "undo")
    assert world.services.documents.document(undoing)["output"] == {"was": 21, "got": 42, "why": "broken"}
    assert entry(world, parent, "订单")["status"] == "compensated"
    assert_replays(world.services, parent)


def test_a_child_that_fails_has_undone_itself_before_its_parent_hears_of_it(world: World) -> None:
    child = """
workflow:
  id: child
  nodes:
    - {id: a, type: tool, tool: act, compensate: {tool: act}}
    - {id: b, type: tool, tool: act, inputs: {fails: true}, dependencies: [a]}
"""
    done: list[str] = []

    def act(call: NodeCall) -> Any:
        done.append(call.path)
        if "fails" in call.inputs:
            raise ValueError("no luck")
        return {}

    world.act = act
    parent = start(world, child, PARENT)
    assert world.run(parent) == "failed"
    assert done == ["a", "b", "a~compensate"]
    ended = world.services.documents.document(child_of(parent))
    assert ended["compensation"] == "completed"
    world.act = lambda _: {"doubled": 1}
    world.control.ask("retry", parent)
    assert world.run(parent) == "completed", "what was undone runs again, too"
    assert_replays(world.services, child_of(parent))


THREE = {
    "parent": "{id: parent, nodes: [{id: n, type: sub_workflow, workflow_id: middle}]}",
    "middle": "{id: middle, nodes: [{id: n, type: sub_workflow, workflow_id: child}]}",
    "child": "{id: child, nodes: [{id: w, type: control, subtype: wait, duration: 1d}]}",
}


def generations(world: World) -> tuple[str, str, str]:
    parent = start(world, *(f"workflow: {source}" for source in THREE.values()))
    world.run(parent)
    middle = child_of(parent, "n", 1, "middle")
    return parent, middle, child_of(middle, "n", 1, "child")


def test_requests_reach_all_generations(world: World) -> None:
    three = generations(world)
    for request, status in (("suspend", "suspended"), ("resume", "running"), ("cancel", "cancelled")):
        world.control.ask(request, three[0], "订单撤回")
        world.run(three[0])
        assert [world.status(execution) for execution in three] == [status] * 3
    for execution in three:
        assert_replays(world.services, execution)


def test_a_retry_reaches_all_generations_and_is_refused_to_those_that_are_awaited(world: World) -> None:
    three = generations(world)
    world.control.ask("cancel", three[0])
    world.run(three[0])
    for parent, child in ((three[0], three[1]), (three[1], three[2])):
        with pytest.raises(RequestError, match=parent):
            world.control.ask("retry", child)
    world.control.ask("retry", three[0])
    asyncio.run(world.runtime.pump.run(lambda: world.status(three[0]) == "completed"))
    assert [world.status(execution) for execution in three] == ["completed"] * 3
    assert [world.services.documents.document(execution)["attempt"] for execution in three] == [2] * 3
    for execution in three:
        assert_replays(world.services, execution)


def test_a_workflow_that_starts_itself_ends_at_the_fiftieth_generation(world: World) -> None:
    source = "workflow: {id: parent, nodes: [{id: n, type: sub_workflow, workflow_id: parent}]}"
    parent = start(world, source, input={})
    assert world.run(parent) == "failed"
    error = entry(world, parent, "n")["error"]
    assert error["type"] == "child_start_failed"
    assert "50 generations" in error["message"]


def test_recursion_that_comes_to_an_end_is_allowed(world: World) -> None:
    source = """
workflow:
  id: parent
  nodes:
    - {id: n, type: sub_workflow, workflow_id: parent, when: "n > 0", inputs: {n: "${n - 1}"}}
  outputs: {sum: "${n + (n.sum ?? 0)}"}
"""
    parent = start(world, source.replace("id: n,", "id: below,").replace("n.sum", "below.sum"), input={"n": 9})
    assert world.run(parent) == "completed"
    assert world.services.documents.document(parent)["output"] == {"sum": 45}


def test_large_outputs_survive_a_suspension_of_the_parent(world: World) -> None:
    large = "好" * 700_000

    def act(_: NodeCall) -> Any:
        world.control.ask("suspend", parent)
        return {"doubled": large}

    world.act = act
    parent = start(world, CHILD, PARENT)
    assert world.run(parent) == "suspended"
    world.control.ask("resume", child_of(parent))
    assert world.run(child_of(parent)) == "completed"
    assert world.status(parent) == "suspended"
    world.control.ask("resume", parent)
    assert world.run(parent) == "completed"
    assert entry(world, parent, "after")["output"] == {"got": large}
    assert_replays(world.services, parent)


def test_the_parent_shows_its_child_and_the_child_its_parent(world: World) -> None:
    parent, middle, child = generations(world)
    assert entry(world, parent, "n")["waiting_on"] == "child"
    assert entry(world, parent, "n")["child"] == middle
    assert world.services.documents.document(child)["parent"] == {"execution_id": middle, "node": "n"}
    assert world.services.documents.document(parent)["parent"] is None
    (waiting,) = world.services.explanations.why(parent, 10).waits
    assert (waiting.path, waiting.waiting_on, waiting.on) == ("n", "child", (middle,))
    assert waiting.moves == f"the end of {middle}, an execution of `middle`"
