"""Loops whose passes run in executions of their own, through the real services: what is asked of them, and where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.unit.services.replaying import assert_replays
from tests.unit.services.test_control import World

from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.invokers.invocation import NodeCall

LOOP = """{id: 各, type: control, subtype: loop, items: "${input.xs}", distribution: executions, max_concurrency: 0,
       body: [{id: work, type: tool, tool: act, inputs: {x: "${item}", i: "${index}"OTHERS}}]MORE}"""


def loop(others: str = "", more: str = "") -> str:
    return LOOP.replace("OTHERS", others).replace("MORE", more)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.act = lambda call: call.inputs
    with world.runtime:
        yield world


def start(world: World, source: str, count: int = 3) -> str:
    world.services.catalog.publish(source.encode())
    return world.services.starter.start("w", {"xs": [*range(count)]})


def begun(world: World, source: str = f"workflow: {{id: w, nodes: [{loop()}]}}", count: int = 3) -> str:
    return start(world, source, count)


def part_of(parent: str, index: int = 0, serial: int = 1, path: str = "各") -> str:
    return child_execution_id(parent, f"{path}[{index}]#{serial}", "w")


def document(world: World, execution: str) -> Any:
    return world.services.documents.document(execution)


def test_a_failure_travels_up_and_a_retry_runs_only_what_failed(world: World) -> None:
    calls: list[int] = []

    def act(call: NodeCall) -> Any:
        calls.append(call.inputs["x"])
        if call.inputs["x"] == 1 and calls.count(1) == 1:
            raise ValueError("no luck")
        return call.inputs["x"]

    world.act = act
    parent = begun(world, f"workflow: {{id: w, nodes: [{loop().replace('max_concurrency: 0', 'max_concurrency: 1')}]}}")
    assert world.run(parent) == "failed"
    error = document(world, parent)["error"]
    assert (error["node"], error["cause"]) == ("各", {"execution_id": part_of(parent), "node": "各[1]/work"})
    world.services.control.ask("retry", parent, "somebody")
    assert world.run(parent) == "completed"
    assert document(world, parent)["output"] == [0, 1, 2]
    assert calls == [0, 1, 1, 2]
    assert_replays(world.services, parent)
    assert_replays(world.services, part_of(parent))


def test_a_cancel_reaches_the_passes_and_a_retry_has_them_go_on(world: World) -> None:
    body = "{id: wait, type: control, subtype: wait, duration: 1h}"
    source = f"workflow: {{id: w, nodes: [{loop().replace('body: [', f'body: [{body}, ')}]}}"
    parent = begun(world, source)
    assert world.run(parent) == "running"
    assert document(world, part_of(parent))["status"] == "running"
    world.services.control.ask("cancel", parent, "somebody")
    assert world.run(parent) == "cancelled"
    assert document(world, part_of(parent))["status"] == "cancelled"
    world.services.control.ask("retry", parent, "somebody")
    assert world.run(parent) == "running"
    assert document(world, part_of(parent))["status"] == "running"
    assert_replays(world.services, part_of(parent))


def test_a_suspension_reaches_the_passes(world: World) -> None:
    body = "{id: wait, type: control, subtype: wait, duration: 1h}"
    parent = begun(world, f"workflow: {{id: w, nodes: [{loop().replace('body: [', f'body: [{body}, ')}]}}")
    world.run(parent)
    world.services.control.ask("suspend", parent, "somebody")
    assert world.run(parent) == "suspended"
    assert document(world, part_of(parent))["status"] == "suspended"
    world.services.control.ask("resume", parent, "somebody")
    assert world.run(parent) == "running"
    assert document(world, part_of(parent))["status"] == "running"


def test_it_runs_in_the_graph_of_a_state_and_reads_the_charts_variables(world: World) -> None:
    before = {"id": "前", "type": "control", "subtype": "pass", "inputs": {"k": 5}}
    (each,) = yaml.safe_load("[" + loop(', k: "${前.k}", v: "${增}"') + "]")
    done = {"target": "完", "actions": [{"set_variable": {"name": "果", "value": "${event.data}"}}]}
    adds = {"set_variable": {"name": "增", "value": "${增 + 1}"}}
    states = [{"name": "运行", "on_enter": [adds], "run": [before, each], "on_done": done}, {"name": "完"}]
    chart = {"initial_state": "运行", "final_states": ["完"], "variables": {"增": 7, "果": None}, "states": states}
    source = json.dumps({"workflow": {"id": "w", "type": "state_machine", **chart}})
    parent = start(world, source)
    assert world.run(parent) == "completed", document(world, parent)["error"]
    expected = [{"x": x, "i": x, "k": 5, "v": 8} for x in range(3)]
    part = document(world, part_of(parent, path="运行/各"))
    assert (part["status"], part["output"]) == ("completed", expected)
    assert_replays(world.services, parent)
    assert_replays(world.services, part_of(parent, path="运行/各"))


def test_passes_decide_by_what_ran_before_the_loop(world: World) -> None:
    before = "{id: first, type: tool, tool: act, inputs: {x: 7, i: 0}}"
    when = '}, when: "${first.x + index > 7}"}]'
    body = loop(', first: "${first.x}"', ", dependencies: [first]").replace("}}]", when)
    parent = begun(world, f"workflow: {{id: w, nodes: [{before}, {body}]}}")
    assert world.run(parent) == "completed", document(world, parent)["error"]
    assert document(world, parent)["output"] == [None, *({"x": x, "i": x, "first": 7} for x in (1, 2))]
    assert_replays(world.services, parent)
    assert_replays(world.services, part_of(parent))


def test_it_runs_in_a_pass_of_another_loop(world: World) -> None:
    inner = loop(', row: "${row}"').replace("${input.xs}", "${row}")
    outer = f'{{id: 行, type: control, subtype: loop, as: row, items: "${{input.xs}}", body: [{inner}]}}'
    world.services.catalog.publish(f"workflow: {{id: w, nodes: [{outer}]}}".encode())
    parent = world.services.starter.start("w", {"xs": [[1, 2], [3]]})
    assert world.run(parent) == "completed", document(world, parent)["error"]
    assert document(world, parent)["output"] == [
        [{"x": 1, "i": 0, "row": [1, 2]}, {"x": 2, "i": 1, "row": [1, 2]}],
        [{"x": 3, "i": 0, "row": [3]}],
    ]
    assert_replays(world.services, part_of(parent, path="行[1]/各"))


def test_passes_that_read_items_from_pages_know_their_place(world: World) -> None:
    parent = begun(world, count=1_003)
    assert world.run(parent) == "completed"
    assert document(world, parent)["output"][-1] == {"x": 1_002, "i": 1_002}
    assert document(world, part_of(parent, 1))["output"] == [{"x": x, "i": x} for x in range(1_000, 1_003)]
