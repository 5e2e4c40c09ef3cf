"""Filters of triggers that no event can match are found before any comes, by what EventBridge makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_runtime.compiler import compile_workflow

ORDER = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "tags": {"type": "array"}, "急": {"type": "boolean"}},
}
PAY = {
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "number"}, "card": {"enum": ["visa", "银联"]}, "order": ORDER},
}


def found(filters: Any, topic: str = "payment", **fields: Any) -> list[tuple[str, str]]:
    """Ids and paths of the findings about a trigger with these filters."""
    trigger = {"type": "event", "topic": topic, "event": "pay", "correlate": "${detail.id}", "with": "${id}"}
    states = [{"name": "a", "transitions": [{"event": "pay", "target": "done"}]}]
    workflow = {"id": "w", "type": "state_machine", "states": states, "triggers": [{**trigger, "filters": filters}]}
    findings = compile_workflow(json.dumps({"workflow": {**workflow, **fields}})).findings
    return [(finding.id, finding.path.removeprefix("triggers[0].")) for finding in findings]


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        ({"amount": {">": 3}}, 'filters.amount[">"]'),
        ({"amount": {">=": 3, "<": 9}}, 'filters.amount[">="]'),
        ({"order": {"amount": {"numeric": [">", 3], "exists": True}}}, "filters.order.amount.numeric"),
        ({"id": {"prefix": "a", "suffix": "b"}}, "filters.id.prefix"),
        ({"$or": [{"id": ["x"]}, {"id": {"prefix": "a", "suffix": "b"}}]}, 'filters["$or"][1].id.prefix'),
        ({"numeric": [">", 3]}, "filters.numeric"),
        ({"prefix": "a"}, "filters.prefix"),
    ],
)
def test_operators_that_stand_where_fields_do_match_nothing(filters: Any, path: str) -> None:
    assert found(filters) == [("WF347", path)]


@pytest.mark.parametrize(
    "filters",
    [
        {"detail-type": ["payment"], "source": ["shop"]},
        {"detail": {"amount": [1]}},
        {"detail.amount": [1]},
        {"$or": [{"detail": {"amount": [1]}}, {"detail": {"amount": [2]}}]},
    ],
)
def test_a_whole_event_pattern_is_recognised_however_it_is_written(filters: Any) -> None:
    assert found(filters) == [("WF346", "filters")]


def test_no_event_has_a_topic_longer_than_eventbridge_takes() -> None:
    assert found({"id": ["x"]}, "题" * 128) == []
    assert found({"id": ["x"]}, "题" * 129) == [("WF347", "topic")]


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        ({"amout": [3]}, "filters.amout"),
        ({"amount": ["3"]}, "filters.amount"),
        ({"amount": [None, True]}, "filters.amount"),
        ({"amount": [{"prefix": "3"}]}, "filters.amount"),
        ({"amount": [{"exists": False}]}, "filters.amount"),
        ({"card": ["viza"]}, "filters.card"),
        ({"card": [{"prefix": "x"}, "云"]}, "filters.card"),
        ({"order": {"id": [3]}}, "filters.order.id"),
        ({"order.id": [3]}, 'filters["order.id"]'),
        ({"order.no": ["x"]}, 'filters["order.no"]'),
        ({"order": {"急": ["true"]}}, "filters.order.急"),
        ({"order": [{"exists": True}]}, "filters.order"),
        ({"$or": [{"amount": ["3"]}, {"card": ["visa"]}]}, 'filters["$or"][0].amount'),
    ],
)
def test_filters_that_the_schema_of_the_event_rules_out_match_nothing(filters: Any, path: str) -> None:
    assert found(filters, event_schemas={"pay": PAY}) == [("WF347", path)]
    assert found(filters) == [], "without a schema nobody knows"


@pytest.mark.parametrize(
    "filters",
    [
        {"amount": [3, "3"]},
        {"amount": 3},
        {"amount": {"numeric": [">", 3, "<", 9]}},
        {"amount": [{"anything-but": [3]}]},
        {"amount": [{"anything-but": {"prefix": "a"}}]},
        {"card": [{"prefix": "vi"}]},
        {"card": [{"exists": False}]},
        {"none": [{"exists": False}]},
        {"order": {"id": [{"wildcard": "a*"}], "tags": ["new"], "急": [True]}},
        {"order.id": [{"cidr": "10.0.0.0/8"}]},
        {"$or": [{"amount": [3]}, {"card": ["银联"]}]},
    ],
)
def test_filters_that_data_of_the_schema_can_match_are_right(filters: Any) -> None:
    assert found(filters, event_schemas={"pay": PAY}) == []
