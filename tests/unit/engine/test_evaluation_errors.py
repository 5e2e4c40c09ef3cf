"""A formula that cannot be evaluated fails what it belongs to, wherever it stands: nothing is left running forever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.compiler.kinds import ACTION_KINDS, NODE_KINDS

BAD = "${1 / zero}"
WORD = "x"


def control(subtype: str, **fields: Any) -> dict[str, Any]:
    return {"id": "n", "type": "control", "subtype": subtype, **fields}


def combine(strategy: str, **fields: Any) -> dict[str, Any]:
    return {"id": "n", "type": "aggregation", "strategy": strategy, **fields}


STEP = {"id": "step", "type": "control", "subtype": "pass"}
NODES: dict[tuple[str, str], dict[str, Any]] = {
    ("SwitchNode", "condition"): control("switch", condition=BAD, branches=[{"case": 1, "target": "b"}]),
    ("SwitchNode", "branches.*.when"): control("switch", branches=[{"when": BAD, "target": "b"}]),
    ("ConditionNode", "condition"): control("condition", condition=BAD, then="b"),
    ("FailNode", "error"): control("fail", error=BAD),
    ("FailNode", "message"): control("fail", message=BAD),
    ("SucceedNode", "output"): control("succeed", output=BAD),
    ("WaitNode", "seconds"): control("wait", seconds=BAD),
    ("WaitNode", "at"): control("wait", at=BAD),
    ("WaitNode", "timeout"): control("wait", event="go", timeout=BAD),
    ("WaitNode", "match"): control("wait", event="go", match=BAD, timeout=60),
    ("WaitNode", "with_value"): control("wait", event="go", correlate="${x}", **{"with": BAD}, timeout=60),
    ("ApprovalNode", "prompt"): control("approval", prompt=BAD),
    ("ApprovalNode", "assignees"): control("approval", assignees=[WORD, BAD]),
    ("ApprovalNode", "data"): control("approval", data={"x": BAD}),
    ("ApprovalNode", "quorum"): control("approval", quorum=BAD),
    ("ApprovalNode", "escalate_after"): control("approval", assignees=[WORD], escalate_after=BAD, escalate_to=["b"]),
    ("ApprovalNode", "escalate_to"): control("approval", assignees=[WORD], escalate_after=60, escalate_to=BAD),
    ("ApprovalNode", "timeout"): control("approval", timeout=BAD),
    ("AggregationNode", "items"): combine("collect", items=BAD),
    ("AggregationNode", "score"): combine("best", score=BAD, dependencies=["a"]),
    ("AggregationNode", "value"): combine("expression", value=BAD),
    ("AggregationNode", "default"): combine("collect", default=BAD, items=[]),
    ("LoopNode", "items"): control("loop", items=BAD, body=STEP),
    ("LoopNode", "times"): control("loop", times=BAD, body=STEP),
    ("LoopNode", "while_condition"): control("loop", **{"while": BAD}, body=STEP),
    ("LoopNode", "until"): control("loop", until=BAD, body=STEP),
    ("LoopNode", "collect"): control("loop", times=2, body=STEP, collect={"x": BAD}),
    ("LoopNode", "collect, in turn"): control("loop", times=2, body=STEP, collect=BAD, until="len(iterations) > 5"),
    ("SubWorkflowNode", "workflow_id"): {"id": "n", "type": "sub_workflow", "workflow_id": BAD, "allow": ["x"]},
    ("any", "when"): control("pass", when=BAD),
    ("any", "inputs"): control("pass", inputs={"x": [BAD]}),
    ("any", "outputs"): control("pass", outputs={"x": BAD}),
    ("StateMachineNode", "inputs"): {
        "id": "n",
        "type": "state_machine",
        "inputs": {"x": BAD},
        "states": [{"name": "s", "always": [{"target": "done"}]}],
    },
}
ACTIONS: dict[tuple[str, str], Any] = {
    ("LogActionDefinition", "message"): {"log": BAD},
    ("SetVariableActionDefinition", "value"): {"set_variable": {"name": "v", "value": {"x": BAD}}},
    ("PublishActionDefinition", "topic"): {"publish_event": {"topic": BAD}},
    ("PublishActionDefinition", "payload"): {"publish_event": {"topic": WORD, "payload": {"x": BAD}}},
    ("RaiseActionDefinition", "event"): {"raise": BAD},
    ("RaiseActionDefinition", "data"): {"raise": {"event": WORD, "data": BAD}},
    ("SendActionDefinition", "id"): {"send": {"event": WORD, "id": BAD}},
    ("SendActionDefinition", "event"): {"send": {"event": BAD}},
    ("SendActionDefinition", "data"): {"send": {"event": WORD, "data": BAD}},
    ("SendActionDefinition", "delay"): {"send": {"event": WORD, "delay": BAD}},
    ("SendActionDefinition", "to"): {"send": {"event": WORD, "to": BAD}},
    ("SendActionDefinition", "correlate"): {"send": {"event": WORD, "to": {"correlate": BAD}}},
    ("CancelSendActionDefinition", "id"): {"cancel_send": BAD},
    ("IfActionDefinition", "condition"): {"if": {"condition": BAD, "then": [{"log": WORD}]}},
    ("ForEachActionDefinition", "items"): {"for_each": {"items": BAD, "do": [{"log": WORD}]}},
    ("StartWorkflowActionDefinition", "workflow_id"): {"start_workflow": {"workflow_id": BAD}},
    ("StartWorkflowActionDefinition", "input"): {"start_workflow": {"workflow_id": WORD, "input": {"x": BAD}}},
    ("AgentActionDefinition", "inputs"): {"agent": {"agent": WORD, "inputs": {"x": BAD}}},
    ("ToolActionDefinition", "inputs"): {"tool": {"tool": WORD, "inputs": {"x": BAD}}},
}
CHARTS: dict[str, dict[str, Any]] = {
    "guard": {"states": [{"name": "a", "transitions": [{"event": "go", "condition": BAD, "target": "done"}]}]},
    "guard of always": {"states": [{"name": "a", "always": [{"condition": BAD, "target": "done"}]}]},
    "delay": {"states": [{"name": "a", "after": [{"delay": BAD, "target": "done"}]}]},
    "every": {"states": [{"name": "a", "after": [{"delay": 1, "every": BAD, "actions": [{"log": WORD}]}]}]},
    "output of a state": {
        "states": [
            {"name": "p", "initial": "q", "on_done": "done", "states": [{"name": "q", "always": [{"target": "f"}]},
                                                      {"name": "f", "type": "final", "output": {"x": BAD}}]}
        ]
    },
    "outputs": {"outputs": {"x": BAD}, "states": [{"name": "a", "always": [{"target": "done"}]}]},
    "inner action": {
        "states": [{"name": "a", "on_enter": [{"for_each": {"items": [1], "do": [{"log": BAD}]}}]}]
    },
}  # fmt: skip


def played(**fields: Any) -> Driver:
    """An execution of a workflow after a minute, an event `go`, and an hour; what it orders succeeds."""
    plan = compile_or_raise(json.dumps({"workflow": {"id": "w", "variables": {"zero": 0}, **fields}}))
    driver = Driver(plan, {}).play()
    for step in (60, 3600):
        if driver.status in ("pending", "running"):
            driver.elapse(step).send("go")
            driver.play()
    return driver


def test_every_formula_that_the_dispatcher_evaluates_is_in_these_tables() -> None:
    nodes = {
        (model.__name__, ".".join(field.path))
        for model, kind in NODE_KINDS.items()
        if kind.pool is None
        for field in kind.formulas
        if field.path != ("correlate",)  # evaluated over an event of the bus, before there is an execution to fail
    }
    actions = {
        (model.__name__, ".".join(field.path)) for model, kind in ACTION_KINDS.items() for field in kind.formulas
    }
    assert nodes <= NODES.keys()
    assert actions == ACTIONS.keys()


@pytest.mark.parametrize("place", NODES, ids=".".join)
def test_a_node_whose_formula_cannot_be_evaluated_fails(place: tuple[str, str]) -> None:
    others = [{"id": name, "type": "control", "subtype": "pass"} for name in "ab"]
    driver = played(nodes=[NODES[place], *others])
    assert driver.status == "failed"
    assert driver.error is not None


@pytest.mark.parametrize("place", ACTIONS, ids=".".join)
def test_an_action_whose_formula_cannot_be_evaluated_fails_the_execution(place: tuple[str, str]) -> None:
    driver = played(type="state_machine", states=[{"name": "a", "on_enter": [ACTIONS[place]]}])
    assert driver.status == "failed"


@pytest.mark.parametrize("place", CHARTS)
def test_a_formula_of_a_chart_that_cannot_be_evaluated_fails_the_execution(place: str) -> None:
    driver = played(type="state_machine", initial_state=CHARTS[place]["states"][0]["name"], **CHARTS[place])
    assert driver.status == "failed"


@pytest.mark.parametrize("field", ["on_exit", "actions"])
def test_an_action_on_the_way_to_the_end_that_fails_does_not_keep_the_chart_from_ending(field: str) -> None:
    """As in SCXML: a final state at the top ends the chart before the error is looked at."""
    always: dict[str, Any] = {"target": "done"}
    state: dict[str, Any] = {"name": "a", "always": [always]}
    (always if field == "actions" else state)[field] = [{"log": BAD}]
    assert played(type="state_machine", states=[state]).status == "completed"


@pytest.mark.parametrize(
    "fields",
    [
        {"outputs": {"x": BAD}, "nodes": [control("pass")]},
        {
            "nodes": [control("pass"), {"id": "m", "type": "control", "subtype": "pass"}],
            "edges": [{"from": "n", "to": "m", "condition": BAD}],
        },
    ],
    ids=["outputs", "edge"],
)
def test_a_formula_of_the_workflow_that_cannot_be_evaluated_fails_the_execution(fields: dict[str, Any]) -> None:
    assert played(**fields).status == "failed"


BROKEN = "${1 +}"
TWO = [{"id": name, "type": "control", "subtype": "pass"} for name in "ab"]
WORK = {"id": "n", "type": "tool", "tool": "t"}
TRIGGER = {"type": "event", "topic": "t"}
KEYED = {**TRIGGER, "event": "go", "correlate": "${detail.id}", "with": "${id}"}
OTHERS: dict[str, dict[str, Any]] = {
    "variables": {"variables": {"x": [BAD]}, "nodes": TWO},
    "outputs": {"outputs": {"x": BAD}, "nodes": TWO},
    "edge": {"nodes": TWO, "edges": [{"from": "a", "to": "b", "condition": BAD}]},
    "tool": {"nodes": [{**WORK, "tool": BAD, "allow": ["t"]}]},
    "agent": {"nodes": [{"id": "n", "type": "agent", "agent": BAD, "allow": ["t"]}]},
    "prompt": {"nodes": [{"id": "n", "type": "agent", "agent": "t", "prompt": f"go on: {BAD}"}]},
    "inputs of a tool": {"nodes": [{**WORK, "inputs": {"x": [BAD]}}]},
    "outputs of a tool": {"nodes": [{**WORK, "outputs": {"x": BAD}}]},
    "fallback": {"nodes": [{**WORK, "fallback": {"value": {"x": BAD}}}]},
    "inputs of a fallback": {"nodes": [{**WORK, "fallback": {"tool": "u", "inputs": {"x": BAD}}}]},
    "prompt of a fallback": {"nodes": [{**WORK, "fallback": {"agent": "u", "prompt": BAD}}]},
    "inputs of a compensation": {"nodes": [{**WORK, "compensate": {"tool": "u", "inputs": {"x": BAD}}}]},
    "input of a trigger": {"nodes": TWO, "triggers": [{**TRIGGER, "input": {"x": BAD}}]},
    "key of a trigger": {"nodes": TWO, "triggers": [{**TRIGGER, "key": BAD}]},
    "correlate of a trigger": {"nodes": TWO, "triggers": [{**KEYED, "correlate": BAD}]},
    "with of a trigger": {"nodes": TWO, "triggers": [{**KEYED, "with": BAD}]},
    "input of a schedule": {"nodes": TWO, "triggers": [{"type": "schedule", "rate": "5m", "input": {"x": BAD}}]},
    "correlate of a wait": {"nodes": [control("wait", event="go", correlate=BAD, **{"with": "${id}"})]},
    "node of a state": {
        "type": "hybrid",
        "states": [{"name": "s", "run": {**WORK, "inputs": {"x": BAD}}, "on_done": "done"}],
    },
}


def placed() -> dict[str, dict[str, Any]]:
    """A workflow for every place where a formula may stand, with `BAD` in it."""
    found = {f"node {'.'.join(place)}": {"nodes": [node, *TWO]} for place, node in NODES.items()}
    for place, action in ACTIONS.items():
        states = [{"name": "a", "on_enter": [action], "on_exit": [], "transitions": [{"event": "x", "target": "done"}]}]
        found[f"action {'.'.join(place)}"] = {"type": "state_machine", "states": states}
    for name, fields in CHARTS.items():
        initial = fields["states"][0]["name"]
        found[f"chart: {name}"] = {"type": "state_machine", "initial_state": initial, **fields}
    return {**found, **OTHERS}


PLACES = placed()


@pytest.mark.parametrize("place", PLACES)
def test_a_formula_that_cannot_be_compiled_is_found_where_it_stands(place: str) -> None:
    text = json.dumps({"workflow": {"id": "w", **PLACES[place]}}, indent=1).replace(BAD, BROKEN)
    [line] = [number for number, content in enumerate(text.split("\n"), 1) if BROKEN in content]
    compilation = compile_workflow(text)
    assert compilation.plan is None
    assert [found.line for found in compilation.findings if found.id == "WF401"] == [line]
