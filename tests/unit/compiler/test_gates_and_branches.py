"""What a switch selects, what a branch holds, and who waits for it."""

from __future__ import annotations

import pytest

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.plan.edges import EdgeKind, JoinKind
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import GatherSpec, ParallelSpec


def compiled(nodes: str) -> Plan:
    lines = "\n".join(f"    - {{{line.strip()}}}" for line in nodes.strip().splitlines())
    return compile_or_raise(f"workflow:\n  id: w\n  nodes:\n{lines}\n")


def into(plan: Plan, id: str) -> dict[str, EdgeKind]:
    """Sources of the edges into a node, in dependency order."""
    edges = [plan.root.edges[index] for index in plan.root.nodes[plan.root.index[id]].incoming]
    return {plan.root.nodes[edge.source].id: edge.kind for edge in edges}


def members(plan: Plan, id: str) -> list[list[str]]:
    spec = plan.root.nodes[plan.root.index[id]].spec
    assert isinstance(spec, ParallelSpec)
    return [[plan.root.nodes[node].id for node in branch] for branch in spec.members]


TOOL = "type: tool, tool: t"
FORK = "id: fork, type: control, subtype: condition, condition: '${go}', then: [a], else: [b]"


def test_an_edge_from_below_another_target_still_counts() -> None:
    plan = compiled(f"{FORK}\nid: a, {TOOL}\nid: mid, {TOOL}, dependencies: [a]\nid: b, {TOOL}, dependencies: [mid]")
    assert into(plan, "b") == {"mid": EdgeKind.FLOW, "fork": EdgeKind.GATE}


def test_an_edge_from_elsewhere_only_orders_a_target() -> None:
    plan = compiled(f"{FORK}\nid: a, {TOOL}\nid: other, {TOOL}\nid: b, {TOOL}, dependencies: [other]")
    assert into(plan, "b") == {"other": EdgeKind.ORDER, "fork": EdgeKind.GATE}


def test_what_another_target_merely_orders_is_not_below_it() -> None:
    second = "id: second, type: control, subtype: condition, condition: '${go}', then: [mid]"
    plan = compiled(
        f"{FORK}\n{second}\nid: a, {TOOL}\nid: mid, {TOOL}, dependencies: [a]\nid: b, {TOOL}, dependencies: [mid]"
    )
    assert into(plan, "mid") == {"a": EdgeKind.ORDER, "second": EdgeKind.GATE}
    assert into(plan, "b") == {"mid": EdgeKind.ORDER, "fork": EdgeKind.GATE}


def test_naming_the_control_node_as_dependency_too_keeps_one_gate() -> None:
    plan = compiled(f"{FORK}\nid: a, {TOOL}, dependencies: [fork]\nid: b, {TOOL}")
    assert into(plan, "a") == {"fork": EdgeKind.GATE}


def test_a_successor_that_is_no_target_has_an_ordinary_edge() -> None:
    plan = compiled(f"{FORK}\nid: a, {TOOL}\nid: b, {TOOL}\nid: c, {TOOL}, dependencies: [fork]")
    assert into(plan, "c") == {"fork": EdgeKind.FLOW}


FAN = "id: fan, type: control, subtype: parallel, branches: [a, b]"


def test_a_shared_node_belongs_to_no_branch() -> None:
    plan = compiled(f"{FAN}\nid: a, {TOOL}\nid: b, {TOOL}\nid: both, {TOOL}, dependencies: [a, b]")
    assert members(plan, "fan") == [["a"], ["b"]]


def test_a_node_linked_by_data_alone_belongs_to_the_branch() -> None:
    plan = compiled(f"{FAN}\nid: a, {TOOL}\nid: b, {TOOL}\nid: more, {TOOL}, inputs: {{x: '${{a.x}}'}}")
    assert members(plan, "fan") == [["a", "more"], ["b"]]


def test_a_head_reached_from_another_branch_keeps_its_own() -> None:
    plan = compiled(f"{FAN}\nid: a, {TOOL}\nid: b, {TOOL}, dependencies: [a]")
    assert members(plan, "fan") == [["a"], ["b"]]
    assert into(plan, "b") == {"a": EdgeKind.FLOW, "fan": EdgeKind.FLOW}


def test_who_reads_a_branch_after_waiting_for_it_gets_no_other_edge() -> None:
    waits = f"id: waits, {TOOL}, dependencies: [fan], inputs: {{x: '${{a.x}}'}}"
    plan = compiled(f"{FAN}\nid: a, {TOOL}\nid: a2, {TOOL}, dependencies: [a]\nid: b, {TOOL}\n{waits}")
    assert into(plan, "waits") == {"a2": EdgeKind.FLOW, "b": EdgeKind.FLOW}


def test_who_only_reads_the_parallel_node_waits_for_its_branches() -> None:
    reads = f"id: reads, {TOOL}, inputs: {{x: '${{fan}}'}}"
    also = f"id: also, {TOOL}, dependencies: [first], inputs: {{x: '${{fan}}'}}"
    plan = compiled(f"id: first, {TOOL}\n{FAN}\nid: a, {TOOL}\nid: b, {TOOL}\n{reads}\n{also}")
    assert into(plan, "reads") == {"a": EdgeKind.FLOW, "b": EdgeKind.FLOW}
    assert into(plan, "also") == {"first": EdgeKind.FLOW, "a": EdgeKind.ORDER, "b": EdgeKind.ORDER}


def test_waiting_for_the_first_branch_goes_through_hidden_nodes() -> None:
    race = FAN + ", wait_all: false"
    plan = compiled(
        f"{race}\nid: a, {TOOL}\nid: a1, {TOOL}, dependencies: [a]\nid: a2, {TOOL}, dependencies: [a]\n"
        f"id: b, {TOOL}\nid: one, {TOOL}, dependencies: [fan]\nid: two, {TOOL}, dependencies: [fan]"
    )
    hidden = {node.id: node for node in plan.root.nodes if node.hidden}
    assert {id: (node.spec, node.join.kind, node.pool) for id, node in hidden.items()} == {
        "~fan~0": (GatherSpec(0, branch=True), JoinKind.ALL_SUCCESS, None),
        "~fan": (GatherSpec(0), JoinKind.ANY, None),
    }
    assert into(plan, "~fan~0") == {"a1": EdgeKind.FLOW, "a2": EdgeKind.FLOW}
    assert into(plan, "~fan") == {"~fan~0": EdgeKind.FLOW, "b": EdgeKind.FLOW}
    assert into(plan, "one") == into(plan, "two") == {"~fan": EdgeKind.FLOW}
    assert [plan.root.nodes[node].id for node in plan.root.sinks] == ["one", "two"]


def test_nobody_waiting_makes_no_hidden_node_and_ends_are_sinks() -> None:
    plan = compiled(f"{FAN}, wait_all: false\nid: a, {TOOL}\nid: b, {TOOL}")
    assert not any(node.hidden for node in plan.root.nodes)
    assert [plan.root.nodes[node].id for node in plan.root.sinks] == ["a", "b"]


def test_an_inner_race_has_one_end_in_the_outer_branch() -> None:
    inner = "id: a, type: control, subtype: parallel, branches: [p, q], wait_all: false"
    plan = compiled(
        f"{FAN}, wait_all: false\n{inner}\nid: p, {TOOL}\nid: q, {TOOL}\nid: won, {TOOL}, dependencies: [a]\n"
        f"id: b, {TOOL}\nid: after, {TOOL}, dependencies: [fan]"
    )
    assert members(plan, "fan") == [["a", "p", "q", "won"], ["b"]]
    assert into(plan, "~fan") == {"won": EdgeKind.FLOW, "b": EdgeKind.FLOW}


@pytest.mark.parametrize("wait_all", ["true", "false"])
def test_the_condition_of_a_replaced_edge_goes_with_it(wait_all: str) -> None:
    text = f"""
workflow:
  id: w
  nodes:
    - {{{FAN}, wait_all: {wait_all}}}
    - {{id: a, {TOOL}}}
    - {{id: b, {TOOL}}}
    - {{id: c, {TOOL}}}
  edges: [{{from: fan, to: c, condition: "${{go}}"}}]
"""
    plan = compile_or_raise(text)
    conditions = [plan.root.edges[index].condition for index in plan.root.nodes[3].incoming]
    assert [condition.source for condition in conditions if condition] == ["${go}"] * (2 if wait_all == "true" else 1)


def test_what_lies_behind_a_dead_race_is_named_by_its_parallel_node() -> None:
    lines = [
        f"{FAN}, wait_all: false",
        "id: a, type: control, subtype: fail",
        "id: b, type: control, subtype: fail",
        f"id: never, {TOOL}, dependencies: [fan]",
    ]
    nodes = "\n".join(f"    - {{{line}}}" for line in lines)
    findings = compile_workflow(f"workflow:\n  id: w\n  nodes:\n{nodes}\n").findings
    assert [(finding.id, finding.message) for finding in findings] == [
        ("WF309", "`never` can never run: `fan` never does")
    ]
