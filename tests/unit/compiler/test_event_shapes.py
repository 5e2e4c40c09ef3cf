"""What the compiler knows of the data of events, and what it says of names that events may overwrite."""

from __future__ import annotations

import json

import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.findings import Finding

PAY = """
  event_schemas:
    pay: {type: object, required: [amount], properties: {amount: {type: number}, card: {enum: [visa, 银联]}}}
    退款: {type: object, properties: {amount: {type: string}}}
"""
INPUT = "  input_schema: {properties: {order: true}}\n"


def findings(text: str) -> list[Finding]:
    return compile_workflow(f"workflow:\n  id: w\n{text}").findings


def ids(text: str) -> set[str]:
    return {finding.id for finding in findings(text)}


def chart(*transitions: str) -> str:
    """All events of `PAY` are heard, and the chart can end."""
    lines = "".join(f"        - {{{transition}}}\n" for transition in (*transitions, "event: '*', target: done"))
    return f"  type: state_machine\n  states:\n    - name: a\n      transitions:\n{lines}"


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        ("event: pay, condition: '${event.data.amuont} > 0'", "`event.data` has no `amuont`"),
        ("event: pay, condition: '${event.data.amount} > \"x\"'", '`event.data.amount` is a number, and "x" is text'),
        ("event: pay, condition: \"${event.data.card} == 'viza'\"", '`event.data.card` is never "viza"'),
        ("event: pay, actions: [{log: '${event.data.amuont}'}]", "`event.data` has no `amuont`"),
        ("event: pay, actions: [{if: 'event.data.amount == \"x\"', then: [{log: x}]}]", "is a number"),
        ("event: 退款, condition: '${event.data.amount} > 3'", "`event.data.amount` is text, and 3 is a number"),
        ("event: [pay, pay], condition: '${event.data.amount} == true'", "`event.data.amount` is a number"),
    ],
)
def test_the_data_of_an_event_is_typed_by_its_schema(transition: str, message: str) -> None:
    [found] = findings(PAY + chart(transition))
    assert found.id in ("WF413", "WF421")
    assert message in found.message


def test_the_match_of_a_wait_is_typed_by_the_schema_of_its_event() -> None:
    wait = "  nodes: [{id: w, type: control, subtype: wait, event: pay, match: event.data.amount == 'x'}]"
    assert ids(PAY + wait) == {"WF421", "WF423"}, "WF423: nothing waits for 退款"


@pytest.mark.parametrize("events", ["[pay, 退款]", "pay.*", "'*'", "[pay, other]", "other"])
def test_nothing_is_said_of_data_that_differs_from_event_to_event(events: str) -> None:
    assert ids(PAY + chart(f"event: {events}, condition: '${{event.data.x}} > 1'")) <= {"WF329"}


def test_a_name_that_only_the_event_can_bring_is_typed_by_its_schema() -> None:
    text = PAY + chart("event: pay, condition: \"${amount} > 'x'\", target: done")
    assert ids(text) == set(), "the input may bring it"
    assert ids(INPUT + text) == {"WF421"}
    assert ids(INPUT + "  variables: {amount: ''}\n" + text) == set(), "it is the workflow's own"
    optional = text.replace("required: [amount], ", "")
    assert ids(INPUT + optional) == set(), "an event before may have brought it"


def test_only_names_of_the_workflow_can_be_overwritten_by_events() -> None:
    own = "  variables: {price: 1}\n  merge_event_data: [price, %s]\n"
    text = own + chart("event: x, target: done, merge_event_data: [order, sum]")
    found = findings(INPUT + text % "prize")
    assert [(item.id, item.path, item.hint) for item in found] == [
        ("WF332", "merge_event_data[1]", "Did you mean `price`?"),
        ("WF332", "states[0].transitions[0].merge_event_data[1]", "Known here: `order`, `price`."),
    ]
    assert ids(text % "anything") == set(), "the input may bring it"
    assert [item.path for item in findings(text % "prize")] == ["merge_event_data[1]"], "unless it looks like a slip"


def test_what_actions_set_and_nodes_are_given_can_be_overwritten() -> None:
    transitions = [
        {"event": "x", "target": "done", "merge_event_data": ["n", "data", "rounds"]},
        {
            "event": "y",
            "actions": [{"set_variable": {"name": "n", "value": 1}}, {"raise": {"event": "x", "data": {"data": 1}}}],
        },
    ]
    states = [{"name": "a", "transitions": transitions}]
    node = {"id": "m", "type": "state_machine", "inputs": {"rounds": 0}, "states": states}
    assert ids(INPUT + f"  nodes: {json.dumps([node])}\n") == set()


FIELDS = "{order: {properties: {total: {type: number}}}, note: {type: string}}"
TOTAL = f"  input_schema: {{required: [order], properties: {FIELDS}}}\n"


@pytest.mark.parametrize(
    ("condition", "more", "expected"),
    [
        ("order.total == 'x'", "", {"WF421"}),
        ("order.totl > 1", "", {"WF413"}),
        ("note > 1", "", set()),  # an event may bring it, if the input does not
        ("order.total == 'x'", "  variables: {order: {}}\n", set()),
        ("order.total == 'x'", "  merge_event_data: true\n", set()),
        ("order.total == 'x'", "  merge_event_data: [order]\n", set()),
    ],
)
def test_what_the_input_gives_and_nothing_changes_is_typed_in_charts(
    condition: str, more: str, expected: set[str]
) -> None:
    assert ids(TOTAL + more + chart(f'event: x, condition: "{condition}"')) == expected


def test_what_an_action_sets_is_not_typed_by_the_input() -> None:
    action = "event: s, actions: [{set_variable: {name: order, value: 1}}]"
    assert ids(TOTAL + chart("event: x, condition: \"order.total == 'x'\"", action)) == set()
