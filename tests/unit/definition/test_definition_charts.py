"""Charts, actions and waits: every written form, what is implied, and exact positions."""

import json
from typing import Any

import pytest

from workflow_runtime.compiler.collect.short_forms import called_node
from workflow_runtime.definition.charts.actions import (
    ActionDefinition,
    AgentActionDefinition,
    CancelSendActionDefinition,
    ForEachActionDefinition,
    IfActionDefinition,
    LogActionDefinition,
    PublishActionDefinition,
    RaiseActionDefinition,
    SendActionDefinition,
    SetVariableActionDefinition,
    StartWorkflowActionDefinition,
    ToolActionDefinition,
)
from workflow_runtime.definition.charts.states import StateDefinition, StateMachineNode, start_of
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.loader import load
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.nodes.work import AgentNode, ToolNode
from workflow_runtime.definition.rules import REQUIRED
from workflow_runtime.definition.workflow import WorkflowDefinition


def _load(text: str) -> WorkflowDefinition:
    loaded = load(text)
    assert loaded.findings == []
    assert loaded.definition is not None
    return loaded.definition


def _made(model: type[ActionDefinition], **fields: Any) -> ActionDefinition:
    return model.model_validate(fields)


def _state(text: str) -> StateDefinition:
    """The state that YAML in flow style says, named 创建 if it has no name."""
    return _load(
        f"workflow: {{id: w, type: state_machine, states: [{{name: 创建, {text}}}, {{name: b, type: final}}]}}"
    ).states[0]


def _action(text: str) -> ActionDefinition:
    (action,) = _state(f"on_enter: [{text}]").on_enter
    return action


@pytest.mark.parametrize(
    "text",
    [
        "{type: log, params: {message: 你好}}",
        "{type: log, message: 你好}",
        "{log: {message: 你好}}",
        "{log: 你好}",
        "{type: log, message: 你好, params: }",
        "{log: , message: 你好}",
        "{log: {message: 你好}, x-note: 注释}",
    ],
)
def test_an_action_may_be_written_in_any_of_its_forms(text: str) -> None:
    assert _action(text) == _made(LogActionDefinition, message="你好")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{log: a, level: debug, required: false}",
            _made(LogActionDefinition, message="a", level="debug", required=False),
        ),
        (
            "{publish_event: {topic: 订单.已付, payload: {n: 1}}}",
            _made(PublishActionDefinition, topic="订单.已付", payload={"n": 1}),
        ),
        ("{publish_event: 订单.已付}", _made(PublishActionDefinition, topic="订单.已付")),
        ("{set_variable: {name: 数量, value: null}}", _made(SetVariableActionDefinition, name="数量", value=None)),
        ("{type: set_variable, name: x, value: 0}", _made(SetVariableActionDefinition, name="x", value=0)),
        ("{raise: 付款, data: {n: 1}}", _made(RaiseActionDefinition, event="付款", data={"n": 1})),
        ('{raise: "${kind}.done"}', _made(RaiseActionDefinition, event="${kind}.done")),
        ("{send: go}", _made(SendActionDefinition, event="go")),
        (
            "{send: {id: s, event: go, data: 1, delay: 5m, to: parent}}",
            _made(SendActionDefinition, id="s", event="go", data=1, delay="5m", to="parent"),
        ),
        ('{send: go, delay: " ${x} "}', _made(SendActionDefinition, event="go", delay="${x}")),
        ("{cancel_send: s}", _made(CancelSendActionDefinition, id="s")),
        ("{cancel_send: {id: s}}", _made(CancelSendActionDefinition, id="s")),
        (
            "{start_workflow: {workflow_id: w2, input: {a: 1}, result_event: 完成}}",
            _made(StartWorkflowActionDefinition, workflow_id="w2", input={"a": 1}, result_event="完成"),
        ),
        ('{start_workflow: "${id}"}', _made(StartWorkflowActionDefinition, workflow_id="${id}")),
    ],
)
def test_every_action_is_read(text: str, expected: ActionDefinition) -> None:
    assert _action(text) == expected


def test_a_send_goes_to_somebody_or_to_whoever_waits_with_a_key() -> None:
    action = _action('{send: {event: go, to: {correlate: "${order_id}"}}}')
    assert isinstance(action, SendActionDefinition)
    assert (action.to, action.correlate, action.delay) == (None, "${order_id}", None)


@pytest.mark.parametrize(
    "text",
    [
        '{if: {condition: "${x} > 1", then: [{log: a}], else: [{log: b}]}}',
        '{if: "${x} > 1", then: {log: a}, else: {log: b}}',
        '{type: if, condition: "${x} > 1", then: {log: a}, else: [{log: b}]}',
    ],
)
def test_an_if_has_actions_on_both_sides(text: str) -> None:
    action = _action(text)
    assert isinstance(action, IfActionDefinition)
    assert action.condition == "${x} > 1"
    assert action.then == (_made(LogActionDefinition, message="a"),)
    assert action.otherwise == (_made(LogActionDefinition, message="b"),)


def test_a_for_each_names_its_item_and_index() -> None:
    action = _action('{for_each: "${items}", as: 商品, index: i, do: [{log: a}]}')
    assert isinstance(action, ForEachActionDefinition)
    assert (action.items, action.as_name, action.index) == ("${items}", "商品", "i")
    action = _action("{for_each: {items: [1, 2], do: {log: a}}}")
    assert isinstance(action, ForEachActionDefinition)
    assert (action.items, action.as_name, action.index) == ([1, 2], "item", "index")


@pytest.mark.parametrize(
    "text",
    [
        "{tool: {tool: t, inputs: {a: 1}, result: 结果, timeout: 5s}}",
        "{tool: t, inputs: {a: 1}, result: 结果, timeout: 5s}",
        "{type: tool, tool_id: t, inputs: {a: 1}, result: 结果, timeout: 5s}",
    ],
)
def test_a_call_is_short_for_a_node(text: str) -> None:
    action = _action(text)
    assert isinstance(action, ToolActionDefinition)
    assert (action.target, action.result) == ("t", "结果")
    node = called_node(action, {"t"}, {}, always_numbered=False)
    assert isinstance(node, ToolNode)
    expected = ToolNode.model_construct(id="t~2", type="tool", tool="t", timeout=5.0)
    assert node == expected


def test_a_call_of_an_agent_has_the_nodes_fields() -> None:
    action = _action('{agent: "${a}", allow: [x, y], prompt: hi, output_schema: {type: object}}')
    assert isinstance(action, AgentActionDefinition)
    node = called_node(action, set(), {}, always_numbered=True)
    assert isinstance(node, AgentNode)
    assert (node.agent, node.allow, node.prompt, node.output_schema) == ("${a}", ("x", "y"), "hi", {"type": "object"})
    assert node.retry_policy == ()


def test_transitions_take_one_or_several_events_and_targets() -> None:
    state = _state(
        'transitions: [{event: 付款, target: b, condition: "${n} > 0", actions: {log: a}},'
        ' {event: [order.*, "*"], target: [b, c], type: internal, merge_event_data: false}, {event: x}]'
    )
    first, second, third = state.transitions
    assert (first.events, first.targets, first.condition, first.type) == (("付款",), ("b",), "${n} > 0", "external")
    assert first.actions == (_made(LogActionDefinition, message="a"),)
    assert first.merge_event_data is None
    assert (second.events, second.targets) == (("order.*", "*"), ("b", "c"))
    assert (second.type, second.merge_event_data) == ("internal", False)
    assert third.targets == ()


def test_after_has_a_delay_that_every_may_stand_for() -> None:
    state = _state('after: [{delay: 15m, target: b}, {delay: 0, every: 30m}, {every: "${n}"}]')
    assert [(item.delay, item.every) for item in state.after] == [(900.0, None), (0.0, 1800.0), ("${n}", "${n}")]
    assert all(item.events == () for item in state.after)


@pytest.mark.parametrize("text", ["b", "[b]", "{target: b}", "{target: [b]}"])
def test_reactions_and_defaults_are_targets_or_mappings(text: str) -> None:
    state = _state(f"run: {{id: a, type: tool, tool: t}}, on_done: {text}, on_error: {text}")
    assert state.on_done is not None
    assert state.on_error is not None
    assert state.on_done.targets == state.on_error.targets == ("b",)
    state = _state(f"initial: {text}, states: [{{name: b}}, {{name: c}}]")
    assert state.initial is not None
    assert state.initial.targets == ("b",)
    text = f"workflow: {{id: w, type: hybrid, initial_state: {text}, states: [{{name: a}}, {{name: b}}]}}"
    initial = _load(text).initial_state
    assert initial is not None
    assert initial.targets == ("b",)


def test_a_reaction_may_have_a_condition_and_actions() -> None:
    state = _state("run: [{id: a, type: tool, tool: t}], on_done: {target: b, condition: x, actions: [{log: a}]}")
    assert state.on_done is not None
    assert (state.on_done.condition, len(state.on_done.actions), state.on_done.events) == ("x", 1, ())


def test_run_is_a_graph_or_one_node_of_any_type() -> None:
    one = _state("run: {id: 甲, type: agent, agent: x}").run
    several = _state("run: [{id: 甲, type: agent, agent: x}, {id: m, type: state_machine, states: [{name: a}]}]").run
    assert [type(node) for node in one] == [AgentNode]
    assert [type(node) for node in several] == [AgentNode, StateMachineNode]


def test_a_history_state_is_shallow_unless_it_says_deep() -> None:
    states = "states: [{name: a}, {name: h, type: history, default: a}, {name: d, type: history, history: deep}]"
    _, shallow, deep = _state(states).states
    assert (shallow.history, deep.history) == ("shallow", "deep")
    assert shallow.default is not None
    assert shallow.default.targets == ("a",)


def test_the_output_of_a_final_state_may_be_null() -> None:
    first, second = _state("states: [{name: a}, {name: f, type: final, output: null}]").states
    assert (first.output, second.output) == (MISSING, None)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("[{name: a}]", "a"),
        ("[{name: a}, {name: b, type: initial}]", "b"),
        ("[{name: a}, {name: b, type: final}, {name: h, type: history}]", "a"),
        ("[{name: a}, {name: c}]", "a"),
        ("[{name: a, type: final}]", "a"),
    ],
)
def test_where_a_chart_starts_may_be_plain(states: str, expected: str) -> None:
    definition = _load(f"workflow: {{id: w, type: state_machine, final_states: [c], states: {states}}}")
    start = start_of(definition.states, definition.initial_state, definition.final_states)
    assert start is not None
    assert start.targets == (expected,)


def test_a_machine_inside_a_graph_has_the_same_fields() -> None:
    text = (
        "workflow: {id: w, nodes: [{id: m, type: state_machine, inputs: {n: 1}, config: {initial_state: 甲,"
        " final_states: 完成, merge_event_data: false, on_unhandled_event: defer, on_unhandled_error: ignore,"
        " states: [{name: 甲}, {name: 乙}]}}]}"
    )
    (node,) = _load(text).nodes
    assert isinstance(node, StateMachineNode)
    assert [state.name for state in node.states] == ["甲", "乙"]
    assert (node.final_states, node.merge_event_data) == (("完成",), False)
    assert (node.on_unhandled_event, node.on_unhandled_error, node.inputs) == ("defer", "ignore", {"n": 1})


def _wait(text: str, defaults: str = "") -> WaitNode:
    (node,) = _load(f"workflow: {{id: w, {defaults} nodes: [{{id: 等, type: control, subtype: wait, {text}}}]}}").nodes
    assert isinstance(node, WaitNode)
    return node


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seconds: 5", {"seconds": 5.0}),
        ("duration: 1h30m", {"seconds": 5400.0}),
        ("config: {duration: PT15M}", {"seconds": 900.0}),
        ('seconds: "${delay}"', {"seconds": "${delay}"}),
        ('at: "2026-01-31T09:30:00+08:00"', {"at": "2026-01-31T09:30:00+08:00"}),
        ("at: 2026-01-31", {"at": "2026-01-31"}),
        ('at: "${due}"', {"at": "${due}"}),
        ("event: 付款", {"event": "付款", "timeout": None, "on_timeout": "fail"}),
        (
            'event: 付款, match: "${event.data.n} > 1", timeout: 1d, on_timeout: 催款',
            {"match": "${event.data.n} > 1", "timeout": 86400.0, "on_timeout": "催款"},
        ),
        ('event: 付款, timeout: "${n}", on_timeout: continue', {"timeout": "${n}", "on_timeout": "continue"}),
        (
            'event: 付款, correlate: "${detail.id}", with: "${id}"',
            {"correlate": "${detail.id}", "with_value": "${id}"},
        ),
    ],
)
def test_a_wait_is_for_a_while_a_time_or_an_event(text: str, expected: dict[str, Any]) -> None:
    node = _wait(text)
    assert {name: getattr(node, name) for name in expected} == expected


def test_a_default_timeout_of_control_nodes_is_for_waits_for_events_only() -> None:
    defaults = "defaults: {control: {timeout: 30s}},"
    assert _wait("event: 付款", defaults).timeout == 30.0
    assert _wait("seconds: 5", defaults).timeout is None


TEXT = """\
workflow:
  id: w
  type: state_machine
  states:
    - name: 甲  # 注释
      on_enter:
        - {type: log, params: {message: 你好}}
        - log: 你好
          level: debug
        - send: {event: 付款, to: {correlate: x}}
        - if: "${x}"
          then: {raise: 完成}
      run: {id: 节点, type: tool, tool: t}
      on_done: 乙
      on_error: [乙, 丙]
      transitions: {event: [a, b], target: 乙}
    - {name: 乙, type: final}
    - {name: 丙, type: final}
"""


@pytest.mark.parametrize(
    ("path", "line", "shown"),
    [
        (("on_enter", 0, "message"), 7, "你好}}"),
        (("on_enter", 1, "message"), 8, "你好"),
        (("on_enter", 1, "level"), 9, "debug"),
        (("on_enter", 2, "event"), 10, "付款,"),
        (("on_enter", 2, "correlate"), 10, "x}}"),
        (("on_enter", 3, "condition"), 11, '"${x}"'),
        (("on_enter", 3, "then", 0, "event"), 12, "完成}"),
        (("run", 0, "tool"), 13, "t}"),
        (("on_done", "targets", 0), 14, "乙"),
        (("on_error", "targets", 1), 15, "丙]"),
        (("transitions", 0, "events", 1), 16, "b], target"),
        (("transitions", 0, "targets", 0), 16, "乙}"),
    ],
)
def test_positions_in_charts_are_exact_whatever_the_form(path: tuple[str | int, ...], line: int, shown: str) -> None:
    loaded = load(TEXT)
    assert loaded.findings == []
    found, column = loaded.source.position(("states", 0, *path))
    assert (found, TEXT.splitlines()[found - 1][column - 1 :][: len(shown)]) == (line, shown)


BY_NAME = """\
workflow:
  id: w
  type: state_machine
  initial_state: 甲
  states:
    x-note: ignored
    甲:
      transitions: {event: go, target: 乙}
      states:
        丙: {on_enter: {log: 你好}}
    乙: {name: 乙, type: final}
    丁:
"""


def test_states_may_be_a_mapping_by_name() -> None:
    loaded = load(BY_NAME)
    assert loaded.findings == []
    assert loaded.definition is not None
    assert [state.name for state in loaded.definition.states] == ["甲", "乙", "丁"]
    assert [state.name for state in loaded.definition.states[0].states] == ["丙"]
    finding = loaded.source.finding(REQUIRED, "x", ("states", 0, "states", 0, "on_enter", 0, "message"))
    assert (finding.line, finding.column, finding.path) == (10, 29, "states.甲.states.丙.on_enter.log")
    assert loaded.source.position(("states", 1, "name")) == (11, 15)
    assert loaded.source.position(("states", 2, "type")) == (12, 7)


@pytest.mark.parametrize(
    ("states", "rule", "path"),
    [
        ("{a: {name: b}}", "WF209", "states.a.name"),
        ("{a: 5}", "WF203", "states.a"),
        ("{a b: {}}", "WF206", 'states["a b"]'),
        ("{a: {tpe: final}}", "WF201", "states.a.tpe"),
    ],
)
def test_what_is_wrong_in_a_mapping_of_states_is_found_at_its_place(states: str, rule: str, path: str) -> None:
    loaded = load(f"workflow: {{id: w, type: state_machine, states: {states}}}")
    assert [(finding.id, finding.path) for finding in loaded.findings] == [(rule, path)]


MANY = 20


def test_charts_nest_as_deep_as_files_may() -> None:
    state: dict[str, Any] = {"name": "里"}
    for level in range(MANY):
        state = {"name": f"层{level}", "states": [state]}
    action: dict[str, Any] = {"log": "a"}
    for _ in range(MANY):
        action = {"if": "x", "then": action}
    body = {"id": "w", "type": "state_machine", "states": [state, {"name": "b", "type": "final", "on_enter": action}]}
    inner = _load(json.dumps({"workflow": body})).states[0]
    for _ in range(MANY):
        (inner,) = inner.states
    assert inner.name == "里"
