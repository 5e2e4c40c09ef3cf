"""A new type of node is a definition, one entry of the compiler's table and one row of the engine's: nothing else knows
that it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.compiler.kinds import NODE_KINDS
from workflow_runtime.compiler.kinds.kind import NodeKind, NodeParts, template
from workflow_runtime.definition.fields import Value
from workflow_runtime.definition.nodes.control import ControlNode
from workflow_runtime.definition.nodes.registry import CONTROL_TYPES, SUBTYPES
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import NodeSucceeded
from workflow_runtime.engine.graph import KINDS, Kind
from workflow_runtime.engine.graph.outcome import Yielded, ended
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.specs import Spec
from workflow_runtime.testing import transition
from workflow_runtime.testing.transitions import Values, begin


class TwiceNode(ControlNode):
    """`{subtype: twice, value: …}`: its output is the value two times."""

    value: Value


class TwiceSpec(msgspec.Struct, frozen=True, tag="twice"):
    value: Formula


def twice_spec(_: TwiceNode, parts: NodeParts) -> TwiceSpec:
    return TwiceSpec(parts.required("value"))


def start_twice(scope: GraphScope, node: int) -> None:
    spec: object = scope.block.nodes[node].spec
    assert isinstance(spec, TwiceSpec)
    value = scope.evaluate(spec.value, node)
    ended(scope, node, Yielded([value, value]))


@pytest.fixture(autouse=True)
def _twice(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = NodeKind(formulas=(template("value"),), spec=cast("Callable[[TwiceNode, NodeParts], Spec]", twice_spec))
    monkeypatch.setitem(CONTROL_TYPES, "twice", TwiceNode)
    monkeypatch.setitem(cast("dict[type, NodeKind]", NODE_KINDS), TwiceNode, compiled)
    monkeypatch.setitem(cast("dict[type, Kind]", KINDS), TwiceSpec, Kind(start_twice))


GRAPH = """
workflow:
  id: made_up
  nodes:
    - {id: a, type: tool, tool: echo}
    - {id: b, type: control, subtype: twice, value: "${a.n + 1}"}
    - {id: c, type: tool, tool: echo, inputs: {all: "${b}"}, when: "${b[1] == 3}"}
"""


def test_a_made_up_node_is_ordered_by_what_it_reads_runs_and_is_read() -> None:
    plan = compile_or_raise(GRAPH)
    state, effects = begin(plan)
    assert [command.path for command in effects if isinstance(command, RunNode)] == ["a"]
    done = NodeSucceeded("run:a#1", 5, "a", 1)
    state, effects = transition(plan, state, done, Values(outputs={"a": {"n": 2}}))
    assert [command.path for command in effects if isinstance(command, RunNode)] == ["c"]


def test_its_formula_is_checked_like_any_other() -> None:
    circle, mistake = (
        [finding.message for finding in compile_workflow(GRAPH.replace("a.n + 1", wrong)).findings]
        for wrong in ("c.n", "a.n +")
    )
    assert any("b → c → b" in message for message in circle), circle
    assert len(mistake) == 1


def test_its_fields_are_checked_like_any_others() -> None:
    assert "twice" not in SUBTYPES, "what messages suggest is for real ones"
    found = compile_workflow(GRAPH.replace("value:", "valeu:")).findings
    assert any("valeu" in finding.message for finding in found)
