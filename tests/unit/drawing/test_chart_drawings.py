"""Drawings of charts: what they show, what they mark, and that texts stay texts."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.drawing import FORMATS, Drawing, Progress, drawing_of, render
from workflow_runtime.plan.plan import Plan

GOLDEN = Path(__file__).parents[2] / "golden"
SHIPPED = Path(__file__).parents[3] / "definitions/workflows"
CHARTS = [
    *(GOLDEN / "machine").glob("*.yaml"),
    SHIPPED / "order_state_machine.yaml",
    SHIPPED / "incident_response.yaml",
    SHIPPED / "subscription_lifecycle.yaml",
]
HOSTILE: dict[str, Any] = {
    "id": "w",
    "type": "hybrid",
    "name": '<script>"&',
    "initial_state": "状态",
    "event_schemas": {"go": {"properties": {'a"|};-->: b': {}}}},
    "states": [
        {"name": "状态", "after": {"delay": 90, "target": "done", "condition": "a == '\"|};-->'"}},
        {"name": "end_", "run": {"id": "x", "type": "tool", "tool": "t", "name": 'say "hi" {<b>} #1; `x` \\ --> y: z'}},
        {"name": "other", "transitions": {"event": ["go", "状态.*"], "target": "end_"}},
    ],
}


def plan_of(document: dict[str, Any]) -> Plan:
    return compile_or_raise(json.dumps({"workflow": document}))


def drawn(path: Path) -> Drawing:
    return drawing_of(compile_or_raise(path.read_bytes()))


@pytest.mark.parametrize(("format", "suffix"), [("text", "txt"), ("mermaid", "mmd"), ("dot", "dot"), ("svg", "svg")])
def test_the_drawings_of_a_chart_are_golden(format: str, suffix: str) -> None:
    plan = compile_or_raise((SHIPPED / "incident_response.yaml").read_bytes())
    statuses = {"ticket": "success", "investigating/logs": "running"}
    progress = Progress(
        statuses,
        active={"": ["investigating", "second_line", "communication"]},
        entered={"": ["triage", "responding", "repair", "escalation", "first_line", "second_line", "investigating"]},
        taken={"": ["done.run.triage: triage -> responding", "first_line -> second_line"]},
    )
    shown = render(plan, format, progress)
    path = GOLDEN / "graphs" / f"incident_response.{suffix}"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(shown, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == shown


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_active_states_are_marked_with_those_around_them(format: str) -> None:
    plan = compile_or_raise((SHIPPED / "order_state_machine.yaml").read_bytes())
    calm, marked = render(plan, format), render(plan, format, Progress(active={"": ["paid"]}))
    mark = {"text": "▶", "mermaid": "class s2,s4 active", "dot": "penwidth=3", "svg": " active"}[format]
    assert mark not in calm
    assert mark in marked


def test_the_active_states_of_a_chart_in_a_graph_are_its_own() -> None:
    plan = compile_or_raise((SHIPPED / "incident_response.yaml").read_bytes())
    items = drawing_of(plan, Progress(active={"": ["review"], "review/sign_off": ["waiting"]})).items
    assert [item.id for item in items if item.status] == ["review", "review/sign_off/waiting"]


def test_a_label_says_event_guard_and_delay() -> None:
    labels = {link.label for link in drawn(SHIPPED / "order_state_machine.yaml").links}
    assert {"cancel", "after 30m", "ship [tracking_no != null]", "done", "after 1h [refund_attempts < 3]"} <= labels


def test_a_label_says_which_fields_an_event_has_if_it_has_room_for_them() -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "number"}, "note": {}}, "required": ["amount"]}
    many = {"properties": {f"field_{number}": {} for number in range(10_000)}}
    leaving = {"event": "pay", "condition": "amount > 1", "target": "b"}
    staying = {"event": "touch", "actions": [{"log": "x"}]}
    document = {
        "id": "w",
        "type": "state_machine",
        "initial_state": "a",
        "event_schemas": {"pay": schema, "touch": {"properties": {"by": {}}}, "fill": many, "any": True},
        "states": [
            {"name": "a", "transitions": [leaving, {"event": ["any", "touch"], "target": "b"}, staying]},
            {"name": "b", "type": "final"},
            {"name": "c", "transitions": {"event": "fill", "target": "b"}},
        ],
    }
    drawing = drawing_of(plan_of(document))
    labels = [link.label for link in drawing.links if link.label]
    assert labels == ["pay (amount, note?) [amount > 1]", "any, touch (by?)", "fill"]
    assert {item.id: item.notes for item in drawing.items}["a"] == ("touch (by?) / log",)


def test_what_does_not_leave_a_state_stands_in_it() -> None:
    items = {item.id: item.notes for item in drawn(SHIPPED / "incident_response.yaml").items}
    assert items["communication"] == ("after 30m, every 30m / publish_event",)
    assert items["first_line"] == ("entry / tool page_on_call",)


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_chart_can_be_drawn_in_every_format(path: Path, format: str) -> None:
    shown = render(compile_or_raise(path.read_bytes()), format)
    for item in drawn(path).items:
        assert item.title in shown or item.kind in ("shallow_history", "deep_history")
    if format == "dot":
        assert shown.count("{") == shown.count("}")


def test_mermaid_texts_cannot_break_out() -> None:
    text = r'[^"`<>\\|{}]*'
    forms = [
        rf' *state "{text}" as s\d+( \{{)?',
        r" *(s\d+|\[\*\]) --> (s\d+|\[\*\])",
        r' *s\d+ --> s\d+: [^"`<>\\|{}:]*',
        r" *\}",
    ]
    for line in render(plan_of(HOSTILE), "mermaid").splitlines()[1:]:
        assert re.fullmatch("|".join(forms), line), line


def test_dot_and_svg_texts_are_escaped() -> None:
    assert r'label="say \"hi\" {<b>} #1; `x` \\ --> y: z' in render(plan_of(HOSTILE), "dot")
    root = ElementTree.fromstring(render(plan_of(HOSTILE), "svg"))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert any(element.text == "状态" for element in root.iter())


def test_a_chart_of_a_thousand_states_is_drawn_without_recursion_into_its_length() -> None:
    states = [{"name": f"s{n}", "transitions": {"event": "go", "target": f"s{n + 1}"}} for n in range(1000)]
    document = {"id": "w", "type": "state_machine", "initial_state": "s0", "states": [*states, {"name": "s1000"}]}
    plan = plan_of({**document, "final_states": ["s1000"]})
    for format in FORMATS:
        assert "s1000" in render(plan, format)
