"""From document to model: aliases, config, defaults, and exact positions."""

import pytest

from workflow_runtime.definition.loader import load
from workflow_runtime.definition.nodes.control import SwitchNode
from workflow_runtime.definition.nodes.work import AgentNode, ToolNode
from workflow_runtime.definition.rules import REQUIRED
from workflow_runtime.definition.workflow import WorkflowDefinition


def _load(text: str) -> WorkflowDefinition:
    loaded = load(text)
    assert loaded.findings == []
    assert loaded.definition is not None
    return loaded.definition


def _nodes(*nodes: str, extra: str = "") -> str:
    return f"workflow:\n  id: w\n{extra}  nodes:\n" + "".join(f"    - {node}\n" for node in nodes)


def test_aliases_and_config_become_canonical_fields() -> None:
    node = _load(_nodes("{id: a, type: agent, config: {agent_id: x, prompt: hi}, depends_on: b}")).nodes[0]
    assert isinstance(node, AgentNode)
    assert (node.agent, node.prompt, node.dependencies) == ("x", "hi", ("b",))


def test_defaults_fill_in_what_nodes_do_not_say_and_null_turns_them_off() -> None:
    extra = "  defaults: {tool: {timeout: 30s, tool: t}}\n"
    nodes = _load(
        _nodes(
            "{id: a, type: tool}",
            "{id: b, type: tool, config: {timeout: 1m}}",
            "{id: c, type: tool, timeout: }",
            extra=extra,
        )
    ).nodes
    assert [node.timeout for node in nodes] == [30.0, 60.0, None]
    assert all(isinstance(node, ToolNode) and node.tool == "t" for node in nodes)


def test_a_case_may_be_null_and_a_branch_knows_its_targets() -> None:
    node = _load(
        _nodes(
            "{id: a, type: control, subtype: switch, condition: x, branches: [{case: null, target: b}, {default: [c]}]}"
        )
    ).nodes[0]
    assert isinstance(node, SwitchNode)
    assert [(branch.values, branch.is_default, branch.targets) for branch in node.branches] == [
        ((None,), False, ("b",)),
        (None, True, ("c",)),
    ]


def test_an_inline_compensation_is_a_node_that_needs_neither_id_nor_type() -> None:
    text = _nodes("{id: a, type: tool, tool: t, compensate: {tool: undo, timeout: 5s}}")
    undo = _load(text).nodes[0].compensate
    assert isinstance(undo, ToolNode)
    assert (undo.tool, undo.timeout) == ("undo", 5.0)


@pytest.mark.parametrize("name", ["a", "2fa", "订单", "मात्रा", "a-b", "_x", "x" * 128])
def test_ids_may_be_in_any_script(name: str) -> None:
    assert _load(_nodes(f'{{id: "{name}", type: tool, tool: t}}')).nodes[0].id == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [("-a", "WF206"), ("a b", "WF206"), ("", "WF206"), ("x" * 129, "WF206"), ("now", "WF207"), ("${a}", "WF210")],
)
def test_other_ids_are_refused(name: str, rule: str) -> None:
    assert [finding.id for finding in load(_nodes(f'{{id: "{name}", type: tool, tool: t}}')).findings] == [rule]


TEXT = """\
workflow:
  id: w
  nodes:
    - id: 甲
      type: agent
      config:
        agent_id: x
      depends_on: [b]
      retry_policy:
        retry_on: [timeout]
      inputs:
        text: 你好
"""


@pytest.mark.parametrize(
    ("path", "expected", "shown"),
    [
        (("nodes", 0, "inputs", "text"), (12, 15), "nodes[0].inputs.text"),
        (("nodes", 0, "agent"), (7, 19), "nodes[0].config.agent_id"),
        (("nodes", 0, "dependencies", 0), (8, 20), "nodes[0].depends_on[0]"),
        (("nodes", 0, "retry_policy", 0, "errors", 0), (10, 20), "nodes[0].retry_policy.retry_on[0]"),
        (("nodes", 0, "inputs"), (11, 7), "nodes[0].inputs"),
        (("nodes", 0, "inputs", "no", "where"), (11, 7), "nodes[0].inputs"),
        (("nodes", 7), (3, 3), "nodes"),
        ((), (1, 1), ""),
    ],
)
def test_positions_are_exact_whatever_the_form(
    path: tuple[str | int, ...], expected: tuple[int, int], shown: str
) -> None:
    source = load(TEXT).source
    assert source.position(path) == expected
    assert source.finding(REQUIRED, "x", path).path == shown
