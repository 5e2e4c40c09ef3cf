"""What is left of a definition with errors, and what is known of its gaps."""

import pytest

from workflow_runtime.definition.charts.actions import ActionDefinition
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.loader import load
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import SwitchNode
from workflow_runtime.definition.nodes.work import AgentNode, ToolNode
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition


def _recovered(text: str) -> tuple[WorkflowDefinition, Gaps]:
    loaded = load(text)
    assert loaded.findings
    assert loaded.definition is not None
    return loaded.definition, loaded.gaps


TEXT = """\
workflow:
  id: 订单 处理
  nme: x
  variables: {now: 1, ok: 2}
  nodes:
    - id: 查询
      type: tol
      depends_on: [a]
      when: "${a.ok}"
      timeout: soon
    - {id: a, type: agent, config: {timeout: soon, prompt: hi}}
    - {id: s, type: control, subtype: switch, condition: x, branches: {a: b}}
    - 5
    - {id: t, type: tool, tool: t, x-note: sound}
  edges: [{from: a, too: t}, {from: a, to: s}]
"""


def test_what_is_sound_stays_and_positions_are_kept() -> None:
    definition, _ = _recovered(TEXT)
    untyped, agent, switch, nothing, tool = definition.nodes
    assert type(untyped) is NodeDefinition
    assert (untyped.id, untyped.dependencies, untyped.when, untyped.timeout) == ("查询", ("a",), "${a.ok}", None)
    assert isinstance(agent, AgentNode)
    assert (agent.agent, agent.prompt, agent.timeout) == ("", "hi", None)
    assert isinstance(switch, SwitchNode)
    assert (switch.condition, switch.branches) == ("x", ())
    assert (type(nothing), nothing.id) == (NodeDefinition, "nodes[3]")
    assert isinstance(tool, ToolNode)
    assert [(edge.source, edge.target) for edge in definition.edges] == [("a", ""), ("a", "s")]
    assert definition.variables == {"ok": 2}


def test_gaps_name_what_was_dropped() -> None:
    _, gaps = _recovered(TEXT)
    assert gaps.fields == {"id", "name", "variables"}
    assert gaps.nodes[0] == {"type", "timeout"}
    assert gaps.nodes[1] == {"agent", "timeout"}
    assert gaps.nodes[2] == {"branches"}
    assert gaps.edges == {0: {"target"}}
    assert gaps.untyped == {0, 3}
    assert gaps.unnamed == {3}


@pytest.mark.parametrize("value", ["", "3", "[]", "{}"])
def test_without_a_mapping_there_is_nothing_to_recover(value: str) -> None:
    assert load(f"workflow: {value}").definition is None


def test_a_sound_definition_has_no_gaps() -> None:
    assert load("workflow: {id: w, nodes: [{id: a, type: tool, tool: t}]}").gaps == Gaps()


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ("- id: a\n      type: agent", 4),
        ("- type: tool\n      tool: t", 4),
        ("- name: x\n      id: a\n      tool: t", 4),
        ("- id: a\n      type: control\n      subtype: switch\n      condition: x", 4),
        ("- id: a\n      type: control\n      subtype: condition\n      condition: x", 4),
        ("-\n      id: a\n      type: agent\n      config:\n        prompt: x", 5),
    ],
)
def test_a_missing_field_is_reported_at_its_node(node: str, line: int) -> None:
    (finding,) = load(f"workflow:\n  id: w\n  nodes:\n    {node}\n").findings
    assert (finding.id, finding.line, finding.path) == ("WF202", line, "nodes[0]")


def test_defaults_that_cannot_be_read_do_not_make_fields_missing() -> None:
    nodes = "  nodes:\n    - {id: a, type: tool}\n"
    for defaults in (
        "  defaults: {tool: {tool: t, timeout: x}}\n",
        "  defaults: {tol: {tool: t}}\n",
        "  defaults: 3\n",
    ):
        assert len(load(f"workflow:\n  id: w\n{defaults}{nodes}").findings) == 1


CHART = """\
workflow:
  id: 订单
  type: hybrid
  initial_state: 甲
  states:
    - name: 甲
      transitions: [{event: a, target: 乙}, {evnt: b, target: 丙}, 5]
      on_enter: [{lgo: x}]
      on_exit: [{log: 再见}]
      run:
        - {id: 一, type: tol}
        - {id: 二, type: tool, tool: t}
        - {id: 2 x, type: tool, tool: t}
      states: [{name: 丁}, {name: 戊, type: finale, on_enter: {log: x}}]
    - name: 丙
      run: {id: m, type: state_machine, states: [{name: 己}, {name: 5}]}
  nodes:
    - {id: n, type: state_machine, initial_state: 庚, states: [{name: 庚, aftr: []}, {name: 辛}]}
"""


def test_what_is_sound_in_a_chart_stays() -> None:
    definition, _ = _recovered(CHART)
    first, second = definition.states
    assert [transition.targets for transition in first.transitions] == [("乙",), ("丙",), ()]
    assert ([type(action) for action in first.on_enter], len(first.on_exit)) == ([ActionDefinition], 1)
    assert [(node.id, type(node)) for node in first.run] == [
        ("一", NodeDefinition),
        ("二", ToolNode),
        ("run[2]", ToolNode),
    ]
    assert [(state.name, state.type, len(state.on_enter)) for state in first.states] == [
        ("丁", None, 0),
        ("戊", None, 1),
    ]
    (machine,) = second.run
    assert isinstance(machine, StateMachineNode)
    assert [state.name for state in machine.states] == ["己", ""]
    (node,) = definition.nodes
    assert isinstance(node, StateMachineNode)
    assert [state.name for state in node.states] == ["庚", "辛"]


def test_gaps_tell_which_charts_and_graphs_are_not_whole() -> None:
    _, gaps = _recovered(CHART)
    assert gaps.fields == {"states"}
    assert gaps.nodes == {0: {"states"}}
    run = ("states", 0, "run")
    assert gaps.runs[run].nodes == {0: {"type"}, 2: {"id"}}
    assert gaps.runs[run].untyped == {0}
    assert gaps.runs[run].unnamed == {2}
    inner = ("states", 1, "run", 0)
    assert {chart: gaps.hide_states(chart) for chart in gaps.charts} == {(): False, inner: True, ("nodes", 0): False}
    assert not gaps.is_whole(())
    assert gaps.is_whole(("nodes", 1))
    assert gaps.of_run(("states", 1, "states", 0, "run")) == Gaps()


@pytest.mark.parametrize("states", ["[{nmae: a}]", "[5]", "[{name: a, sates: []}]", "{a: 1}", "5", "[{name: x y}]"])
def test_names_of_states_that_cannot_be_seen_are_told(states: str) -> None:
    loaded = load(f"workflow: {{id: w, type: state_machine, states: {states}}}")
    assert loaded.gaps.hide_states(())
