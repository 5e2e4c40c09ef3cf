"""Promises of the compiler about plans: identity, order, edges, reads."""

from __future__ import annotations

import random

import pytest
from tests.seeds import for_seeds

from workflow_runtime.compiler import compile_or_raise, compile_workflow, strict
from workflow_runtime.compiler.shape.walks import EDGES_MAX, NODES_MAX
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Severity
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.edges import EdgeKind
from workflow_runtime.plan.formulas import BindingKind
from workflow_runtime.plan.plan import Plan


def workflow(nodes: str, more: str = "") -> str:
    lines = "\n".join(f"    - {{type: tool, tool: t, {line.strip()}}}" for line in nodes.strip().splitlines())
    return f"workflow:\n  id: w\n{more}  nodes:\n{lines}\n"


def edges_of(plan: Plan) -> set[tuple[str, str, EdgeKind]]:
    nodes = plan.root.nodes
    return {(nodes[edge.source].id, nodes[edge.target].id, edge.kind) for edge in plan.root.edges}


def test_the_same_text_gives_the_same_plan() -> None:
    text = workflow('id: a, inputs: {x: "${q}", y: 1}\nid: b, dependencies: [a], inputs: {z: "${a.x}", w: "${r}"}')
    assert compile_or_raise(text).hash == compile_or_raise(text.encode()).hash


def test_the_order_of_keys_does_not_change_the_plan() -> None:
    one = workflow("id: a\nid: b, dependencies: [a], inputs: {x: 1, y: 2}, timeout: 5")
    other = workflow("id: a\nid: b, timeout: 5s, inputs: {y: 2, x: 1}, depends_on: a")
    assert compile_or_raise(one).hash == compile_or_raise(other).hash


def test_comments_and_places_do_not_change_the_plan() -> None:
    text = workflow("id: a\nid: b, dependencies: [a]")
    assert compile_or_raise(text).hash == compile_or_raise("# about\n\n" + text).hash


def test_the_order_of_dependencies_does_change_the_plan() -> None:
    plans = [compile_or_raise(workflow(f"id: a\nid: b\nid: c, dependencies: [{order}]")) for order in ("a, b", "b, a")]
    assert plans[0].hash != plans[1].hash


def test_incoming_and_outgoing_name_the_same_edges() -> None:
    plan = compile_or_raise(workflow("id: c, dependencies: [b, a]\nid: a\nid: b, dependencies: [a]"))
    for position, node in enumerate(plan.root.nodes):
        assert all(plan.root.edges[index].target == position for index in node.incoming)
        assert all(plan.root.edges[index].source == position for index in node.outgoing)
        targets = [plan.root.edges[index].target for index in node.outgoing]
        assert targets == sorted(targets)
    assert sorted(index for node in plan.root.nodes for index in node.incoming) == list(range(len(plan.root.edges)))


def test_a_node_that_declares_no_edge_depends_on_what_it_names() -> None:
    plan = compile_or_raise(workflow('id: a\nid: b, inputs: {x: "${a.x}"}'))
    assert edges_of(plan) == {("a", "b", EdgeKind.FLOW)}


def test_a_node_that_declares_an_edge_only_waits_for_what_else_it_names() -> None:
    plan = compile_or_raise(workflow('id: a\nid: b\nid: c, dependencies: [b], inputs: {x: "${a.x}"}'))
    assert edges_of(plan) == {("a", "c", EdgeKind.ORDER), ("b", "c", EdgeKind.FLOW)}


def test_reading_an_ancestor_adds_no_edge() -> None:
    plan = compile_or_raise(
        workflow('id: a\nid: b, dependencies: [a]\nid: c, dependencies: [b], inputs: {x: "${a.x}"}')
    )
    assert edges_of(plan) == {("a", "b", EdgeKind.FLOW), ("b", "c", EdgeKind.FLOW)}


def test_a_node_called_start_is_a_node() -> None:
    plan = compile_or_raise(workflow("id: start\nid: a", "  edges: [{from: start, to: a}, {from: a, to: end}]\n"))
    assert edges_of(plan) == {("start", "a", EdgeKind.FLOW)}


def test_conditions_that_repeat_are_kept_once() -> None:
    edge = '{from: a, to: b, condition: "${a.x}"}'
    plan = compile_or_raise(workflow("id: a\nid: b", f"  edges: [{edge}, {edge}]\n"))
    condition = plan.root.edges[0].condition
    assert condition is not None
    assert condition.source == "${a.x}"


def test_conditions_that_are_too_long_together_are_refused() -> None:
    edges = ", ".join(f'{{from: a, to: b, condition: "${{a.x{number}}} == 1"}}' for number in range(300))
    compilation = compile_workflow(workflow("id: a\nid: b", f"  edges: [{edges}]\n"))
    assert [finding.id for finding in compilation.findings] == ["WF401"]


def test_previous_on_an_edge_is_the_node_that_the_edge_leaves() -> None:
    plan = compile_or_raise(workflow("id: a\nid: b", '  edges: [{from: a, to: b, condition: "${previous.ok}"}]\n'))
    condition = plan.root.edges[0].condition
    assert condition is not None
    assert [(binding.name, binding.kind, binding.node) for binding in condition.bindings] == [
        ("previous", BindingKind.NODE, 0)
    ]
    assert plan.root.nodes[0].decision_paths == (("ok",),)


def test_the_dispatcher_needs_nothing_of_what_workers_read() -> None:
    text = workflow('id: a\nid: b, inputs: {x: "${a.x}", y: "${big}"}', '  outputs: {x: "${b.y}"}\n')
    plan = compile_or_raise(text)
    assert [node.decision_paths for node in plan.root.nodes] == [(), (("y",),)]
    assert plan.input_paths == ()


def test_a_node_only_named_by_a_fallback_runs_only_when_called() -> None:
    plan = compile_or_raise(workflow('id: a, fallback: b\nid: b, inputs: {why: "${error.type}", a: "${a.x}"}'))
    assert plan.root.nodes[0].fallback == 1
    assert plan.root.nodes[1].called
    assert plan.root.edges == ()
    assert plan.root.sinks == (0,)


def test_variables_are_overridable_by_declared_input_only() -> None:
    variables = "  variables: {a: 1, b: 2}\n"
    schema = "  input_schema: {type: object, properties: {a: {}}}\n"
    plans = [compile_or_raise(workflow("id: n", more)) for more in (variables, schema + variables)]
    assert [[variable.overridable for variable in plan.variables] for plan in plans] == [[True, True], [True, False]]


@pytest.mark.parametrize(
    "schema",
    [
        "{allOf: [{properties: {order: {}}}]}",
        '{$ref: "#/$defs/in", $defs: {in: {properties: {order: {}}}}}',
        "{type: object}",
        "{properties: {x: {}}, patternProperties: {^o: {}}}",
        "true",
    ],
)
def test_a_name_that_a_schema_may_declare_is_accepted(schema: str) -> None:
    text = workflow('id: a, inputs: {x: "${order}"}', f"  input_schema: {schema}\n")
    assert compile_workflow(text).findings == []


def test_unknown_agents_and_tools_are_warnings_and_strict_makes_them_errors() -> None:
    catalogue = Catalogue(tools={id: CatalogueEntry(id=id) for id in ("http_request", "delay")})
    compilation = compile_workflow(workflow("id: a, tool: http_requst").replace("tool: t, ", ""), catalogue=catalogue)
    assert compilation.plan is not None
    assert [(finding.id, finding.hint) for finding in compilation.findings] == [
        ("WF418", "Did you mean `http_request`?")
    ]
    assert [finding.severity for finding in strict(compilation.findings)] == [Severity.ERROR]


def test_compile_or_raise_carries_every_finding() -> None:
    with pytest.raises(DefinitionError) as caught:
        compile_or_raise(workflow("id: a, dependencies: [x]\nid: b, dependencies: [y]"))
    assert [finding.id for finding in caught.value.findings] == ["WF301", "WF301"]


def test_more_nodes_than_the_limit_are_refused() -> None:
    nodes = "\n".join(f"    - {{id: n{number}, type: tool, tool: t}}" for number in range(NODES_MAX + 1))
    assert [finding.id for finding in compile_workflow(f"workflow:\n  id: w\n  nodes:\n{nodes}\n").findings] == [
        "WF305"
    ]


def test_more_edges_than_the_limit_are_refused_before_they_are_made() -> None:
    count = int(EDGES_MAX**0.5) + 1
    heads = [f"h{number}" for number in range(count)]
    lines = [f"    - {{id: p, type: control, subtype: parallel, branches: [{', '.join(heads)}]}}"]
    lines += [f"    - {{id: {head}, type: tool, tool: t}}" for head in heads]
    lines += [f"    - {{id: v{number}, type: tool, tool: t, dependencies: [p]}}" for number in range(count)]
    text = "workflow:\n  id: w\n  nodes:\n" + "\n".join(lines)
    assert [finding.id for finding in compile_workflow(text).findings] == ["WF306"]


def test_findings_of_a_hopeless_file_are_bounded() -> None:
    nodes = "\n".join(f"id: n{number}, dependencies: [x{number}]" for number in range(2_000))
    assert len(compile_workflow(workflow(nodes)).findings) == 1_000


@for_seeds(range(20))
def test_random_graphs_compile_to_acyclic_plans_whose_reads_have_ended(seed: int) -> None:
    """Every node that a node reads is above it in the plan, whatever the mixture of edges."""
    chance = random.Random(seed)
    lines = []
    reads: dict[str, list[str]] = {}
    for number in range(30):
        earlier = [f"n{other}" for other in range(number)]
        depends = chance.sample(earlier, min(len(earlier), chance.randint(0, 2)))
        reads[f"n{number}"] = chance.sample(earlier, min(len(earlier), chance.randint(0, 3)))
        inputs = ", ".join(f'{name}: "${{{name}.x}}"' for name in reads[f"n{number}"])
        lines.append(f"id: n{number}, dependencies: [{', '.join(depends)}], inputs: {{{inputs}}}")
    compilation = compile_workflow(workflow("\n".join(lines)))
    plan = compilation.plan
    assert plan is not None
    assert compilation.findings == []
    above: list[set[str]] = []
    for node in plan.root.nodes:
        sources = [plan.root.edges[index].source for index in node.incoming]
        above.append({plan.root.nodes[source].id for source in sources}.union(*(above[source] for source in sources)))
        assert set(reads[node.id]) <= above[-1]
