"""A name that means one thing in a place, although the workflow calls another so, too, is a finding."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.testing.transitions import Values, active, begin, event, transition

KEYS = {"type": "object", "properties": {"order": {"type": "object"}, "input": {}}}


def hidden(template: str, **fields: Any) -> list[str]:
    """What is said of a workflow with a node that reads this."""
    reader = {"id": "reader", "type": "tool", "tool": "t", "inputs": {"x": template}}
    return found([*fields.pop("nodes", ()), reader], **fields)


def found(nodes: list[dict[str, Any]], **fields: Any) -> list[str]:
    compilation = compile_workflow(json.dumps({"workflow": {"id": "w", "nodes": nodes, **fields}}))
    assert compilation.plan is not None, compilation.findings
    return [f"{each.id} {each.message}. {each.hint}" for each in compilation.findings]


def node(id: str) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "t"}


@pytest.mark.parametrize(("template", "fields", "said", "ways"), [
    ("${input.order}", {"nodes": [node("input")]}, "the node here, and hides the whole input",
     "`nodes.input.output` or `execution.input`"),
    ("${trigger.id}", {"nodes": [node("trigger")]}, "the node here, and hides what started the execution",
     "`nodes.trigger.output` or `execution.input.trigger`"),
    ("${order.id}", {"nodes": [node("order")], "variables": {"order": 1}}, "the node here, and hides the variable",
     "`nodes.order.output` or `variables.order`"),
    ("${order.id}", {"nodes": [node("order")], "input_schema": KEYS},
     "the node here, and hides the key `order` of the input", "`nodes.order.output` or `execution.input.order`"),
    ("${input.order}", {"variables": {"input": 1}}, "the variable here, and hides the whole input",
     "`variables.input` or `execution.input`"),
])  # fmt: skip
def test_a_name_that_hides_another_meaning_is_named_where_it_is_read(
    template: str, fields: dict[str, Any], said: str, ways: str
) -> None:
    name = template[2:].partition(".")[0]
    assert hidden(template, **fields) == [f"WF449 `{name}` is {said}. Rename one of them, or write {ways}."]


@pytest.mark.parametrize(("template", "fields"), [
    ("${nodes.input.output.order} ${execution.input.order}", {"nodes": [node("input")]}),
    ("${other}", {"nodes": [node("input"), node("other")]}),
    ("${nodes.order.output} ${variables.order}", {"nodes": [node("order")], "variables": {"order": 1}}),
    ("${order}", {"variables": {"order": 1}, "input_schema": KEYS}),  # its default
    ("${input.order}", {"input_schema": KEYS}),
])  # fmt: skip
def test_what_cannot_be_mistaken_is_not_spoken_of(template: str, fields: dict[str, Any]) -> None:
    assert hidden(template, **fields) == []


@pytest.mark.parametrize(("name", "fields", "hides"), [
    ("order", {"nodes": [node("order")]}, "the node"),
    ("order", {"variables": {"order": 1}}, "the variable"),
    ("input", {}, "the whole input"),
    ("order", {"input_schema": KEYS}, "the key `order` of the input"),
    ("item", {"input_schema": {"type": "object", "properties": {"item": {}}}}, ""),
    ("each", {"nodes": [node("order")]}, ""),
])  # fmt: skip
def test_so_is_the_item_of_a_loop(name: str, fields: dict[str, Any], hides: str) -> None:
    inner = {"id": "inner", "type": "tool", "tool": "t", "inputs": {"x": f"${{{name}.id}}"}}
    loop = {"id": "each_one", "type": "control", "subtype": "loop", "items": "${execution.input.list}",
            "as": name, "body": [inner]}  # fmt: skip
    said = found([*fields.pop("nodes", ()), loop], **fields)
    assert [text.partition(". ")[0] for text in said] == (
        [f"WF449 `{name}` is the item of the loop `each_one` here, and hides {hides}"] if hides else []
    )


def test_a_variable_of_a_chart_that_is_called_input_is_what_is_read() -> None:
    text = """
workflow:
  id: w
  type: state_machine
  initial_state: a
  variables: {input: {order: 1}}
  states:
    - {name: a, transitions: [{event: go, condition: "${input.order} == 1", target: done}]}
"""
    compilation = compile_workflow(text)
    assert compilation.plan is not None
    assert [finding.message for finding in compilation.findings] == [
        "`input` is the variable here, and hides the whole input"
    ]
    values = Values(input={"order": 2}, variables={"input": {"order": 1}})
    state, _ = begin(compilation.plan, values)
    state, _ = transition(compilation.plan, state, event("go"), values)
    assert active(compilation.plan, state) == ("done",)
