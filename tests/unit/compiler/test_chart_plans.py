"""Promises of the compiler about charts, the graphs in them, waits and triggers."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.compiler.check.charts import STATES_MAX
from workflow_runtime.compiler.shape.walks import NODES_MAX
from workflow_runtime.plan.actions import CallAction
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.formulas import Binding, BindingKind, Formula
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import MachineSpec, WaitSpec
from workflow_runtime.plan.states import StateKind
from workflow_runtime.plan.triggers import EventTrigger

GOLDEN = Path(__file__).parents[2] / "golden"


def golden(name: str) -> Plan:
    return compile_or_raise((GOLDEN / f"{name}.yaml").read_bytes())


def chart(states: str, more: str = "") -> str:
    lines = "\n".join(f"    - {{{line.strip()}}}" for line in states.strip().splitlines())
    return f"workflow:\n  id: w\n  type: state_machine\n{more}  states:\n{lines}\n"


def kinds(formula: Formula | None) -> dict[str, BindingKind]:
    assert formula is not None
    return {binding.name: binding.kind for binding in formula.bindings}


def test_blocks_are_numbered_as_they_stand_in_the_file() -> None:
    plan = golden("hybrid")
    assert [block.prefix for block in plan.blocks] == ["", "review/draft/", "watching/"]
    assert [block.first for block in plan.blocks] == [0, 4, 7]
    assert [(item.prefix, item.node) for item in plan.charts] == [("", -1), ("review/", 2), ("review/draft/polish/", 5)]


def test_every_node_has_one_number_and_one_path() -> None:
    for name in ("hybrid", "chart_runs"):
        plan = golden(name)
        paths = [plan.path(number) for number in range(sum(len(block.nodes) for block in plan.blocks))]
        assert len(set(paths)) == len(paths)
        assert [plan.numbers[path] for path in paths] == list(range(len(paths)))


def test_states_stand_in_document_order_with_parents_first() -> None:
    for item in golden("chart_nested").charts:
        for number, state in enumerate(item.states[1:], 1):
            assert state.parent < number
            assert number in item.states[state.parent].children
        assert item.states[0].kind is StateKind.COMPOUND


def test_a_machine_reads_and_waits_for_what_anything_inside_reads() -> None:
    plan = golden("hybrid")
    machine = plan.root.nodes[plan.root.index["review"]]
    assert machine.spec == MachineSpec(1, (plan.numbers["assess"], plan.numbers["limits"]))
    assert {plan.root.edges[edge].source for edge in machine.incoming} == {0, 1}
    inner = plan.node(plan.numbers["review/draft/polish"])
    assert inner.spec == MachineSpec(2, (plan.numbers["assess"], plan.numbers["review/draft/write"]))


def test_what_guards_and_inner_graphs_decide_by_is_attached() -> None:
    plan = golden("hybrid")
    assert plan.root.nodes[0].decision_paths == (("level",), ("score",), ("strict",))
    assert plan.node(plan.numbers["review/draft/write"]).decision_paths == (("ok",),)


def test_a_chart_at_the_top_takes_over_all_input_and_variables() -> None:
    plan = golden("chart_flat")
    assert (plan.input_paths, plan.variable_paths) == (((),), ((),))


def test_a_chart_inside_a_graph_reads_only_what_it_names() -> None:
    text = """
workflow:
  id: w
  variables: {limit: 1, other: 2}
  nodes:
    - id: m
      type: state_machine
      inputs: {x: "${a}"}
      states:
        - {name: s, transitions: [{event: go, condition: "${limit} < ${b.c}", target: done}]}
"""
    plan = compile_or_raise(text)
    assert set(plan.input_paths) == {("a",), ("b", "c"), ("limit",)}
    assert set(plan.variable_paths) == {("b", "c"), ("limit",)}


def test_names_in_charts_are_looked_up_when_they_are_read() -> None:
    text = chart(
        "name: a, transitions: [{event: go, condition: '${x} > 1 and ${event.data.y} and ${input.z}', target: done}]",
        "  variables: {x: 1, y: '${x}'}\n",
    )
    plan = compile_or_raise(text)
    guard = plan.charts[0].states[1].transitions[0].guard
    assert kinds(guard) == {"x": BindingKind.SCOPED, "event": BindingKind.EVENT, "input": BindingKind.INPUT}
    assert kinds(plan.variables[1].value) == {"x": BindingKind.VARIABLE}


def test_names_of_a_loop_are_local_inside_of_it_only() -> None:
    text = chart(
        "name: a, always: [{target: done}], "
        "on_enter: [{for_each: {items: '${list}', as: each, do: [{log: '${each} ${index}'}]}}, {log: '${each}'}]"
    )
    state = compile_or_raise(text).charts[0].states[1]
    loop, after = state.on_enter
    assert kinds(loop.do[0].message) == {"each": BindingKind.LOCAL, "index": BindingKind.LOCAL}  # type: ignore[union-attr]
    assert kinds(after.message) == {"each": BindingKind.SCOPED}  # type: ignore[union-attr]


def test_no_name_is_an_error_in_a_chart_even_with_a_schema() -> None:
    schema = "  input_schema: {type: object, properties: {known: {}}}\n"
    text = chart("name: a, transitions: [{event: go, condition: '${unknown} and ${known}', target: done}]", schema)
    assert compile_workflow(text).findings == []


def test_a_machines_name_means_something_else_inside_of_it() -> None:
    text = """
workflow:
  id: w
  nodes:
    - {id: order, type: state_machine, states: [{name: a, always: [{condition: "${order.ok}", target: done}]}]}
    - {id: after, type: tool, tool: t, inputs: {x: "${order.ok}"}}
"""
    plan = compile_or_raise(text)
    assert kinds(plan.charts[0].states[1].transitions[0].guard) == {"order": BindingKind.SCOPED}
    assert plan.root.nodes[1].inputs is not None
    assert plan.root.nodes[1].inputs.bindings == (Binding("order", BindingKind.NODE, 0),)


def test_calls_get_ids_of_their_own_and_their_owners() -> None:
    plan = golden("chart_runs")
    calls = plan.charts[0].calls
    assert [plan.blocks[call.block].nodes[0].id for call in calls] == ["notify~2", "greeter", "notify~3", "tool"]
    assert [(call.owner, call.variable) for call in calls] == [(1, "told"), (1, ""), (0, ""), (0, "told")]
    action = plan.charts[0].states[1].on_enter[0]
    assert isinstance(action, CallAction)
    assert kinds(action.inputs) == {"order": BindingKind.SCOPED, "event": BindingKind.EVENT}
    assert plan.blocks[calls[0].block].nodes[0].inputs is None


def test_agents_and_tools_of_charts_are_looked_for() -> None:
    text = chart(
        "name: a, on_enter: [{tool: log_it}], run: {id: n, type: agent, agent: writr}, always: [{target: done}]"
    )
    catalogue = Catalogue({"writer": CatalogueEntry(id="writer")}, {"log": CatalogueEntry(id="log")})
    found = compile_workflow(text, catalogue=catalogue).findings
    assert sorted((finding.id, finding.line) for finding in found) == [("WF417", 5), ("WF418", 5)]


def test_a_history_state_without_default_falls_back_on_its_parents_start() -> None:
    states = """
name: a, initial: a1, states: [{name: a1}, {name: h, type: history}], transitions: [{event: x, target: b}]
name: b, type: parallel, states: [{name: b1}, {name: b2}, {name: d, history: deep, type: history}], always: {target: c}
name: c, always: [{target: done}]
"""
    plan = compile_or_raise(chart(states, "  initial_state: a\n")).charts[0]
    for name, expected in (("h", ["a1"]), ("d", ["b1", "b2"])):
        initial = plan.states[plan.index[name]].initial
        assert initial is not None
        assert [plan.states[target].name for target in initial.targets] == expected


def test_a_node_that_a_wait_calls_runs_when_it_is_called() -> None:
    plan = golden("waits")
    wait, remind = plan.root.nodes[plan.root.index["payment"]], plan.root.nodes[plan.root.index["remind"]]
    assert isinstance(wait.spec, WaitSpec)
    assert (wait.spec.on_timeout, wait.spec.timeout_target) == ("call", plan.root.index["remind"])
    assert (remind.called, remind.incoming) == (True, ())
    assert kinds(remind.when) == {"urgent": BindingKind.INPUT_KEY}
    assert kinds(remind.inputs) == {"error": BindingKind.LOCAL, "order": BindingKind.NODE}
    assert {plan.root.nodes[sink].id for sink in plan.root.sinks} == {"order", "ship"}


def test_nothing_waits_for_a_node_that_may_be_called() -> None:
    text = """
workflow:
  id: w
  nodes:
    - {id: ask, type: control, subtype: wait, event: answer, timeout: 1d, on_timeout: remind}
    - {id: remind, type: tool, tool: t}
    - {id: told, type: tool, tool: t, dependencies: [ask], inputs: {x: "${remind.x}"}}
"""
    compilation = compile_workflow(text)
    assert compilation.plan is not None
    assert [finding.id for finding in compilation.findings] == ["WF405"]
    assert [(edge.source, edge.target) for edge in compilation.plan.root.edges] == [(0, 2)]


def test_a_wait_with_a_key_is_a_trigger_without_a_start() -> None:
    plan = golden("waits")
    spec = plan.root.nodes[plan.root.index["payment"]].spec
    assert isinstance(spec, WaitSpec)
    trigger = plan.triggers[spec.correlated]
    assert isinstance(trigger, EventTrigger)
    assert (trigger.topics, trigger.event, trigger.with_key, trigger.start_if_none) == (("pay",), "pay", None, False)
    assert kinds(trigger.correlate) == {"detail": BindingKind.LOCAL}
    assert kinds(spec.key) == {"order": BindingKind.NODE}


def test_lists_of_outputs_pick_a_machines_variables() -> None:
    outputs = golden("hybrid").charts[1].outputs
    assert kinds(outputs) == {"variables": BindingKind.VARIABLES}


@pytest.mark.parametrize("asked", ["in_state('a')", 'in_state( "a" )', "in_state(which)"])
def test_states_that_exist_may_be_asked_for(asked: str) -> None:
    condition = "${" + asked.replace("'", "''") + "}"
    text = chart(f"name: a, transitions: [{{event: go, condition: '{condition}', target: done}}]")
    assert compile_workflow(text).findings == []


def test_the_text_of_a_message_asks_for_no_state() -> None:
    text = chart("name: a, on_enter: [{log: \"in_state('x') of ${event.name}\"}], always: [{target: done}]")
    assert compile_workflow(text).findings == []


def test_nodes_of_all_graphs_count_towards_the_limit() -> None:
    run = ", ".join(f"{{id: n{number}, type: tool, tool: t}}" for number in range(NODES_MAX // 2 + 1))
    text = chart(f"name: a, run: [{run}], on_done: b\nname: b, run: [{run}], on_done: done", "  initial_state: a\n")
    assert [finding.id for finding in compile_workflow(text).findings] == ["WF305"]


def test_more_states_than_the_limit_are_refused() -> None:
    half = ", ".join(f"{{name: s%s{number}}}" for number in range(STATES_MAX // 2))
    states = "\n".join(f"name: {name}, initial: s{name}0, states: [{half.replace('%s', name)}]" for name in "ab")
    text = chart(states, "  initial_state: a\n")
    assert [finding.id for finding in compile_workflow(text).findings] == ["WF327"]
