"""Twice the definition is about twice the work, whatever its shape. Work is counted, not timed: calls of functions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from workflow_runtime.compiler import compile_workflow

SIZE = 120
RATIO_MAX = 2.3  # 2 and what grows with a logarithm; a quadratic stage comes near 4


def tool(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "t", **fields}


def switch(id: str, *targets: str, **fields: Any) -> dict[str, Any]:
    branches = [{"when": f"x == {number}", "target": target} for number, target in enumerate(targets)]
    return {"id": id, "type": "control", "subtype": "switch", "branches": branches, **fields}


def graph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": list(nodes)}


def chart(*states: dict[str, Any]) -> dict[str, Any]:
    return {"type": "state_machine", "initial_state": states[0]["name"], "states": list(states)}


def chain(count: int) -> dict[str, Any]:
    return graph(tool("n0"), *(tool(f"n{i}", inputs={"x": f"${{n{i - 1}.x}}"}) for i in range(1, count)))


def fan(count: int) -> dict[str, Any]:
    legs = [tool(f"n{i}", inputs={"x": "${head.x}"}) for i in range(count)]
    last = {"id": "all", "type": "aggregation", "strategy": "collect", "dependencies": [leg["id"] for leg in legs]}
    return graph(tool("head"), *legs, last)


def ladder(count: int) -> dict[str, Any]:
    """Pairs of nodes, each of which depends on both of the pair before, and reads one of them."""
    nodes = [tool("a0"), tool("b0")]
    for i in range(1, count // 2):
        above = [f"a{i - 1}", f"b{i - 1}"]
        nodes += [tool(f"{side}{i}", dependencies=above, when=f"{above[0]}.ok") for side in "ab"]
    return graph(*nodes)


def circle(count: int) -> dict[str, Any]:
    """A chain that leads into a circle, with a way back from every second node."""
    nodes = [tool(f"n{i}", dependencies=[f"n{i - 1}"] if i else [f"n{count - 1}"]) for i in range(count)]
    for i in range(0, count - 2, 2):
        nodes[i]["dependencies"].append(f"n{i + 1}")
    return graph(*nodes)


def wide_switch(count: int) -> dict[str, Any]:
    targets = [tool(f"n{i}") for i in range(count)]
    return graph(switch("s", *(target["id"] for target in targets)), *targets)


def switches_in_a_row(count: int) -> dict[str, Any]:
    """Each looks through all before it, at what `previous` is."""
    nodes = [tool("first"), switch("s0", "s1", dependencies=["first"])]
    nodes += [switch(f"s{i}", f"s{i + 1}", when="${previous.x} == 1") for i in range(1, count)]
    return graph(*nodes, tool(f"s{count}", inputs={"x": "${previous}"}))


def many_cases(count: int) -> dict[str, Any]:
    branches = [{"case": {"k": i}, "target": "a"} for i in range(count)]
    node = {"id": "s", "type": "control", "subtype": "switch", "condition": "x", "branches": branches}
    return graph(node, tool("a"))


def unknown_names(count: int) -> dict[str, Any]:
    nodes = [tool(f"n{i}", inputs={"x": f"${{m{i}.x}}"}) for i in range(count)]
    return {**graph(*nodes), "input_schema": {"properties": {"a": True}}}


def flat_chart(count: int) -> dict[str, Any]:
    states = [
        {
            "name": f"s{i}",
            "transitions": [{"event": f"e{i}", "condition": f"x{i} > 1", "target": f"s{(i + 1) % count}"}],
        }
        for i in range(count)
    ]
    return chart(*states)


def dense_chart(count: int) -> dict[str, Any]:
    """One state with a transition to each of the others, and back."""
    hub = {"name": "hub", "transitions": [{"event": f"e{i}.*", "target": f"s{i}"} for i in range(count)]}
    return chart(hub, *({"name": f"s{i}", "transitions": [{"event": "*", "target": "hub"}]} for i in range(count)))


def nested_charts(count: int) -> dict[str, Any]:
    """Regions, each with two states, in one parallel state."""
    regions = [
        {"name": f"r{i}", "initial": f"a{i}", "states": [
            {"name": f"a{i}", "always": [{"condition": f"in_state('b{i}')", "target": f"b{i}"}]}, {"name": f"b{i}"}]}
        for i in range(count // 2)
    ]  # fmt: skip
    return chart({"name": "p", "type": "parallel", "states": regions, "on_done": "done"})


def many_calls(count: int) -> dict[str, Any]:
    return chart({"name": "a", "on_enter": [{"tool": "t"} for _ in range(count)], "on_done": "done"})


SHAPES: list[Callable[[int], dict[str, Any]]] = [
    chain, fan, ladder, circle, wide_switch, switches_in_a_row, many_cases, unknown_names,
    flat_chart, dense_chart, nested_charts, many_calls,
]  # fmt: skip


def calls(shape: dict[str, Any]) -> int:
    """How many functions are called to compile it, those of C included."""
    text = json.dumps({"workflow": {"id": "w", **shape}})
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        compile_workflow(text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_work_of_compiling_grows_with_the_definition(shape: Callable[[int], dict[str, Any]]) -> None:
    calls(shape(4))  # what happens once per process
    small, large = calls(shape(SIZE)), calls(shape(2 * SIZE))
    assert large < RATIO_MAX * small
