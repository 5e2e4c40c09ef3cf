"""Four times the definition is about four times the work, whatever its shape. What is counted is calls of functions."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.calls import calls_of

from workflow_runtime.compiler import compile_workflow

SIZE = 20
GROWTH = 4
RATIO_MAX = 4.4  # 4 and what grows with a logarithm; a quadratic stage comes near 16
NUMBERS = itertools.count()


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


def control(id: str, subtype: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "control", "subtype": subtype, **fields}


def conditions_in_a_row(count: int) -> dict[str, Any]:
    nodes = [control(f"n{i}", "condition", condition="x", then=f"n{i + 1}") for i in range(count)]
    return graph(*nodes, tool(f"n{count}"))


def ladder_of_conditions(count: int) -> dict[str, Any]:
    steps = [{"then": f"n{i + 1}", "else": f"n{i + 2}"} for i in range(count)]
    nodes = [control(f"n{i}", "condition", condition="x", **step) for i, step in enumerate(steps)]
    return graph(*nodes, tool(f"n{count}"), tool(f"n{count + 1}"))


def ladder_of_parallels(count: int) -> dict[str, Any]:
    nodes = [control(f"n{i}", "parallel", branches=[f"n{i + 1}", f"n{i + 2}"]) for i in range(count)]
    return graph(*nodes, tool(f"n{count}"), tool(f"n{count + 1}"))


def parallels_in_a_row(count: int) -> dict[str, Any]:
    """Each waits for the two branches of the one before."""
    nodes: list[dict[str, Any]] = []
    for i in range(count // 3):
        above = {"dependencies": [f"p{i - 1}"]} if i else {}
        nodes += [control(f"p{i}", "parallel", branches=[f"a{i}", f"b{i}"], **above), tool(f"a{i}"), tool(f"b{i}")]
    return graph(*nodes)


def wide_parallel(count: int) -> dict[str, Any]:
    legs = [tool(f"n{i}") for i in range(count)]
    head = control("p", "parallel", branches=[leg["id"] for leg in legs], wait_all=False)
    return graph(head, *legs, tool("last", dependencies=["p"]))


def passes_in_a_row(count: int) -> dict[str, Any]:
    return graph(*(control(f"n{i}", "pass", dependencies=[f"n{i - 1}"] if i else []) for i in range(count)))


def aggregations_in_a_row(count: int) -> dict[str, Any]:
    """Each looks through the control node between it and the one before."""
    nodes: list[dict[str, Any]] = [tool("n0")]
    for i in range(1, count // 2):
        nodes.append(control(f"c{i}", "pass", dependencies=[f"n{i - 1}"]))
        nodes.append({"id": f"n{i}", "type": "aggregation", "strategy": "collect", "dependencies": [f"c{i}"]})
    return graph(*nodes)


def edges_apart(count: int) -> dict[str, Any]:
    nodes = [tool(f"n{i}") for i in range(count)]
    edges = [{"from": f"n{i}", "to": f"n{i + 1}", "condition": f"n{i}.ok"} for i in range(count - 1)]
    return {**graph(*nodes), "edges": edges}


def references_in_one_node(count: int) -> dict[str, Any]:
    nodes = [tool(f"n{i}") for i in range(count)]
    return graph(*nodes, tool("all", inputs={f"x{i}": f"${{n{i}.x}}" for i in range(count)}))


def references_to_all_above(count: int) -> dict[str, Any]:
    """`nodes` as a whole, in a chain."""
    return graph(tool("n0"), *(tool(f"n{i}", dependencies=[f"n{i - 1}"], when="nodes.n0.x") for i in range(1, count)))


def long_expression(count: int) -> dict[str, Any]:
    return graph(tool("a", inputs={"x": "${" + "+".join(["x"] * count) + "}"}))


def many_expressions_in_a_text(count: int) -> dict[str, Any]:
    return graph(tool("a", inputs={"x": "".join(f"${{x{i}}}" for i in range(count))}))


def many_patterns(count: int) -> dict[str, Any]:
    return graph(*(tool(f"n{i}", when=f"matches(x, '^x{i}[a-z]+$')") for i in range(count)))


def wide_filters(count: int) -> dict[str, Any]:
    filters = {f"k{i}": [{"prefix": f"p{i}"}] for i in range(count)}
    return {**graph(tool("a")), "triggers": [{"type": "event", "topic": "t", "filters": filters}]}


def many_triggers(count: int) -> dict[str, Any]:
    return {**graph(tool("a")), "triggers": [{"type": "event", "topic": f"t{i}"} for i in range(count)]}


def many_variables(count: int) -> dict[str, Any]:
    variables = {f"v{i}": f"${{v{i - 1}}}" if i else 1 for i in range(count)}
    return {**graph(tool("a", inputs={"x": "${v0}"})), "variables": variables}


def many_handlers(count: int) -> dict[str, Any]:
    handlers = [{"errors": [f"e{i}"], "action": "continue"} for i in range(count)]
    return {**graph(tool("a"), tool("b", inputs={"x": "${a.x}"})), "error_handlers": handlers}


def many_loops(count: int) -> dict[str, Any]:
    return graph(*(control(f"l{i}", "loop", items="${x}", body=[tool(f"n{i}")]) for i in range(count // 2)))


def loops_with_bodies_beside_them(count: int) -> dict[str, Any]:
    loops = [control(f"l{i}", "loop", times=2, body=[f"n{i}"]) for i in range(count // 2)]
    return graph(*loops, *(tool(f"n{i}") for i in range(count // 2)))


def duplicates(count: int) -> dict[str, Any]:
    return graph(*(tool("same") for _ in range(count)))


def dangling_targets(count: int) -> dict[str, Any]:
    return graph(*(tool(f"n{i}", dependencies=[f"missing{i}"]) for i in range(count)))


def chart_in_a_row(count: int) -> dict[str, Any]:
    steps = [{"name": f"s{i}", "always": [{"target": f"s{i + 1}", "condition": f"x > {i}"}]} for i in range(count)]
    return chart(*steps, {"name": f"s{count}"})


def shared_event(count: int) -> dict[str, Any]:
    """Every state leaves on the same event, to the first."""
    return chart(*({"name": f"s{i}", "transitions": [{"event": "go", "target": "s0"}]} for i in range(count)))


def many_transitions_of_one_event(count: int) -> dict[str, Any]:
    transitions = [{"event": "go", "condition": f"x == {i}", "target": "b"} for i in range(count)]
    return chart({"name": "a", "transitions": transitions}, {"name": "b"})


def states_in_states(count: int) -> dict[str, Any]:
    """Ten levels of states with as many beside each other as that leaves."""
    states = []
    for i in range(max(count // 10, 1)):
        state: dict[str, Any] = {"name": f"s{i}x0"}
        for level in range(1, 10):
            state = {"name": f"s{i}x{level}", "initial": state["name"], "states": [state]}
        states.append(state)
    return chart(*states)


def many_assignments(count: int) -> dict[str, Any]:
    actions = [{"set_variable": {"name": f"v{i}", "value": f"${{v{i}}}"}} for i in range(count)]
    return {**chart({"name": "a", "on_enter": actions}), "variables": {f"v{i}": i for i in range(count)}}


def many_graphs_in_states(count: int) -> dict[str, Any]:
    states = [{"name": f"s{i}", "run": tool(f"n{i}"), "on_done": f"s{i + 1}"} for i in range(count // 2)]
    return {**chart(*states, {"name": f"s{count // 2}"}), "type": "hybrid"}


def many_fallbacks(count: int) -> dict[str, Any]:
    """Each node with one of its own, and a handler that adds another."""
    handlers = [{"node_pattern": "n.*", "action": {"type": "fallback", "target": "elsewhere"}}]
    return {**graph(*(tool(f"n{i}", fallback={"tool": "u"}) for i in range(count // 3))), "error_handlers": handlers}


def many_compensations(count: int) -> dict[str, Any]:
    undo = {"tool": "undo", "inputs": {"of": "${output.id}", "for": "${inputs.who}"}}
    return graph(*(tool(f"n{i}", inputs={"who": "x"}, compensate=undo) for i in range(count // 2)))


def machines_in_a_row(count: int) -> dict[str, Any]:
    """A chart inside each second node, which reads the node before."""
    machine = {"type": "state_machine", "initial_state": "s", "final_states": ["e"]}
    states = [{"name": "s", "always": [{"target": "e"}]}, {"name": "e"}]
    nodes: list[dict[str, Any]] = [tool("n0")]
    for i in range(1, count // 4):
        nodes.append({"id": f"m{i}", **machine, "states": states, "inputs": {"x": f"${{n{i - 1}.x}}"}})
        nodes.append(tool(f"n{i}", inputs={"x": f"${{m{i}.x}}"}))
    return graph(*nodes)


SHAPES: list[Callable[[int], dict[str, Any]]] = [
    chain, fan, ladder, circle, wide_switch, switches_in_a_row, many_cases, unknown_names,
    flat_chart, dense_chart, nested_charts, many_calls,
    conditions_in_a_row, ladder_of_conditions, ladder_of_parallels, parallels_in_a_row, wide_parallel, passes_in_a_row,
    aggregations_in_a_row, edges_apart, references_in_one_node, references_to_all_above, long_expression,
    many_expressions_in_a_text, many_patterns, wide_filters, many_triggers, many_variables, many_handlers, many_loops,
    loops_with_bodies_beside_them,
    duplicates, dangling_targets, chart_in_a_row, shared_event, many_transitions_of_one_event, states_in_states,
    many_assignments, many_graphs_in_states, many_fallbacks, many_compensations, machines_in_a_row,
]  # fmt: skip


def calls(shape: dict[str, Any]) -> int:
    """How many functions are called to compile it.

    Each ``x`` gets a name of its own: what expressions and patterns compile to is kept, and costs nothing another time.
    """
    text = json.dumps({"workflow": {"id": "w", **shape}})
    text = re.sub(r"\bx(?=\d*\b)", f"x{next(NUMBERS):05}_", text)
    return calls_of(compile_workflow, text)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_work_of_compiling_grows_with_the_definition(shape: Callable[[int], dict[str, Any]]) -> None:
    calls(shape(4))  # what happens once per process
    small, large = calls(shape(SIZE)), calls(shape(GROWTH * SIZE))
    assert large < RATIO_MAX * small


def test_branches_inside_of_branches_are_bounded() -> None:
    nodes = [control(f"n{i}", "parallel", branches=[f"n{i + 1}"]) for i in range(2000)]
    text = json.dumps({"workflow": {"id": "w", **graph(*nodes, tool("n2000"))}})
    (finding,) = compile_workflow(text).findings
    assert (finding.id, "branches inside of branches" in finding.message) == ("WF306", True)
