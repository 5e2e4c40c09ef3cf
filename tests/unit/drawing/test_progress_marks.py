"""What a drawing says of the path that an execution took, and what it leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.drawing import FORMATS, Drawing, Progress, drawing_of, render
from workflow_runtime.plan.plan import Plan

BRANCHING = """
workflow:
  id: w
  nodes:
    - {id: ask, type: tool, tool: t}
    - {id: route, type: control, subtype: condition, dependencies: [ask], condition: "${ask.ok}", then: yes_, else: no_}
    - {id: yes_, type: tool, tool: t}
    - {id: no_, type: tool, tool: t}
    - {id: after_no, type: tool, tool: t, dependencies: [no_]}
    - {id: end, type: tool, tool: t, dependencies: [yes_, no_], join: any}
"""
DONE = Progress(
    {"ask": "success", "route": "success", "yes_": "success", "no_": "skipped", "after_no": "skipped", "end": "running"}
)


def marks(drawing: Drawing) -> dict[tuple[str, str, str], str]:
    items = drawing.items
    return {(items[link.source].id, items[link.target].id, link.label): link.mark for link in drawing.links}


def chart(transitions: list[Any], **more: Any) -> Plan:
    states = [{"name": "a", "transitions": transitions, **more}, {"name": "b"}]
    document = {"id": "w", "type": "state_machine", "initial_state": "a", "states": states, "final_states": ["b"]}
    return compile_or_raise(json.dumps({"workflow": document}))


def test_edges_that_were_taken_are_told_from_those_that_are_dead() -> None:
    assert marks(drawing_of(compile_or_raise(BRANCHING), DONE)) == {
        ("ask", "route", ""): "taken",
        ("route", "yes_", "true"): "taken",
        ("route", "no_", "false"): "dead",
        ("no_", "after_no", ""): "dead",
        ("yes_", "end", ""): "taken",
        ("no_", "end", ""): "dead",
    }


def test_before_anything_ran_nothing_is_marked() -> None:
    plan = compile_or_raise(BRANCHING)
    for progress in (None, Progress(), Progress(dict.fromkeys(("ask", "route", "yes_", "no_", "end"), "waiting"))):
        assert not any(marks(drawing_of(plan, progress)).values())


def test_an_edge_with_a_condition_is_not_said_to_be_taken_where_another_may_have_been() -> None:
    source = """
workflow:
  id: w
  nodes: [{id: a, type: tool, tool: t}, {id: b, type: tool, tool: t}, {id: c, type: tool, tool: t, join: any}]
  edges: [{from: a, to: c, condition: "${a.x}"}, {from: b, to: c}]
"""
    found = marks(drawing_of(compile_or_raise(source), Progress(dict.fromkeys("abc", "success"))))
    assert list(found.values()) == ["", "taken"]


def test_of_transitions_between_the_same_states_the_one_that_heard_the_event_is_marked() -> None:
    heard = [{"event": "go", "target": "b"}, {"event": "order.*", "target": "b"}]
    plan = chart(heard, after={"delay": "5m", "target": "b"})

    def taken(event: str) -> list[str]:
        progress = Progress(taken={"": [f"{event}a -> b"]})
        return [label for (source, _, label), mark in marks(drawing_of(plan, progress)).items() if source and mark]

    assert taken("go: ") == ["go"]
    assert taken("order.paid: ") == ["order.*"]
    assert taken("") == ["after 5m"]


def test_states_are_visited_or_active() -> None:
    plan = chart([{"event": "go", "target": "b"}])
    progress = Progress(active={"": ["b"]}, entered={"": ["a", "b"]})
    assert [item.status for item in drawing_of(plan, progress).items if item.id] == ["visited", "active"]


@pytest.mark.parametrize(
    ("format", "taken", "dead"),
    [
        ("svg", 'class="edge critical taken"', 'class="edge dead"'),
        ("mermaid", "linkStyle 0,1,4 stroke:#1a7f37", "linkStyle 2,3,5 stroke:#c4cbd2"),
        ("dot", 'color="#1a7f37"', "style=dotted"),
        ("text", "⇐ ask", "↚ route (false)"),
    ],
)
def test_every_form_shows_the_path(format: str, taken: str, dead: str) -> None:
    plan = compile_or_raise(BRANCHING)
    shown, calm = render(plan, format, DONE), render(plan, format)
    for mark in (taken, dead):
        assert mark in shown
        assert mark not in calm


def test_every_form_shows_how_long_a_wait_is_and_for_what() -> None:
    source = """
workflow:
  id: w
  nodes:
    - {id: pause, type: control, subtype: wait, duration: 2h}
    - {id: paid, type: control, subtype: wait, event: order_paid, timeout: 3d, dependencies: [pause]}
"""
    plan = compile_or_raise(source)
    for format in FORMATS:
        shown = render(plan, format)
        assert "2h" in shown
        assert "for order_paid, at most 3d" in shown
