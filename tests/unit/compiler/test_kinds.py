"""A type of node is one entry of the compiler's table; everything else follows from it."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import pytest
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.compiler.kinds import ACTION_KINDS, NODE_KINDS
from workflow_runtime.compiler.kinds.kind import EACH, NodeKind, NodeParts, expression, template
from workflow_runtime.definition.charts.actions import ACTIONS
from workflow_runtime.definition.fields import Expression, Text
from workflow_runtime.definition.nodes.control import ControlNode
from workflow_runtime.definition.nodes.registry import CONTROL_TYPES, NODE_TYPES
from workflow_runtime.engine.graph import KINDS, Kind
from workflow_runtime.engine.graph.outcome import Yielded, ended
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.plan.formulas import Formula


class EchoNode(ControlNode):
    """Made up: says a text, if it may."""

    noun: ClassVar[str] = "an echo"

    text: Text
    allowed: Expression


class EchoSpec(msgspec.Struct, frozen=True, tag="echo"):
    text: Formula
    allowed: Formula


def _echo_spec(_: EchoNode, parts: NodeParts) -> EchoSpec:
    return EchoSpec(parts.required("text"), parts.required("allowed"))


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = NodeKind(formulas=(template("text"), expression("allowed")), spec=_echo_spec)  # type: ignore[arg-type]
    monkeypatch.setitem(CONTROL_TYPES, "echo", EchoNode)
    monkeypatch.setitem(NODE_KINDS, EchoNode, kind)


@pytest.mark.usefixtures("echo")
def test_a_new_type_of_node_needs_one_entry() -> None:
    plan = compile_or_raise(
        """
workflow:
  id: w
  variables: {limit: 3}
  nodes:
    - {id: a, type: tool, tool: t}
    - {id: says, type: control, subtype: echo, text: "got ${a.x}", allowed: "a.n < limit"}
"""
    )
    says = plan.root.nodes[1]
    assert isinstance(says.spec, EchoSpec)
    assert [formula.source for formula in says.decision_formulas] == ["got ${a.x}", "a.n < limit"]
    assert says.incoming, "reading a node makes it a dependency"
    assert plan.root.nodes[0].decision_paths == (("n",), ("x",))
    assert plan.variable_paths == (("limit",),)
    assert plan.root.sinks == (1,)


def _start_echo(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, EchoSpec)
    allowed = scope.evaluate(spec.allowed, node)
    ended(scope, node, Yielded({"said": scope.evaluate(spec.text, node) if allowed else None}))


@pytest.mark.usefixtures("echo")
def test_a_new_type_of_node_runs_with_one_row_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, EchoSpec, Kind(_start_echo))  # type: ignore[misc]
    plan = compile_or_raise(
        """
workflow:
  id: w
  nodes:
    - {id: a, type: tool, tool: t}
    - {id: says, type: control, subtype: echo, text: "got ${a.x}", allowed: "a.n < 3"}
    - {id: after, type: control, subtype: pass, inputs: {heard: "${says.said}"}}
"""
    )
    driver = Driver(plan, checked=False).play({"a": {"x": "好", "n": 2}})
    assert (driver.status, driver.result("after")) == ("completed", {"heard": "got 好"})


@pytest.mark.usefixtures("echo")
def test_the_formulas_of_a_new_type_of_node_are_checked_like_any() -> None:
    text = """
workflow:
  id: w
  nodes:
    - {id: says, type: control, subtype: echo, text: "${1 +}", allowed: "${secrets.k}"}
"""
    assert [(finding.id, finding.path) for finding in compile_workflow(text).findings] == [
        ("WF401", "nodes[0].text"),
        ("WF407", "nodes[0].allowed"),
    ]


def test_every_type_of_node_and_every_action_has_its_entry() -> None:
    assert set(NODE_KINDS) == {*NODE_TYPES.values(), *CONTROL_TYPES.values()}
    assert set(ACTION_KINDS) == set(ACTIONS.values())


ENTRIES = {model.__name__: (model, kind.formulas) for model, kind in (*NODE_KINDS.items(), *ACTION_KINDS.items())}


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_name_fields_that_exist(name: str) -> None:
    model, formulas = ENTRIES[name]
    for field in formulas:
        assert field.path[0] in model.model_fields
        assert len(field.path) == 1 or field.path[1] == EACH


@pytest.mark.parametrize(("text", "is_formula"), [("t", False), ("$${t}", False), ("${t}", True)])
def test_an_id_is_a_formula_only_where_it_is_computed(text: str, is_formula: bool) -> None:
    assert template("tool", or_id=True).takes(text) is is_formula
    assert template("prompt").takes(text)
