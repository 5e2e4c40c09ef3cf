"""Failures that a person decides on, through the real handlers: what is told of them, and what a decision does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.handlers.bench import Bench
from tests.handlers.http_requests import ask
from tests.handlers.test_events_to_executions import work

from workflow_runtime.errors import NodeError

SCHEMA = Path(__file__).parents[2] / "events" / "schemas" / "execution.v1.json"
WORKFLOW = """
workflow:
  id: 订单
  variables: {card: visa}
  error_handlers: [{errors: [card_declined], action: escalate}]
  nodes:
    - {id: 付款, type: tool, tool: charge, inputs: {card: "${card}"}}
    - {id: 寄出, type: tool, tool: echo, inputs: {paid: "${付款.paid}"}, dependencies: [付款]}
"""


@pytest.fixture
def execution_id(bench: Bench) -> str:
    """Suspended by a card that was declined; others are taken."""

    def charge(call: Any) -> Any:
        if call.inputs["card"] == "visa":
            raise NodeError("card_declined", "余额不足")
        return {"paid": call.inputs["card"]}

    bench.tools.tools["charge"] = charge
    bench.runtime.catalog.publish(WORKFLOW.encode())
    started = bench.runtime.starter.start("订单", {})
    work(bench)
    return started


def test_document_explanation_and_event_tell_of_it(bench: Bench, execution_id: str) -> None:
    document = bench.document(execution_id)
    error = {"type": "card_declined", "message": "余额不足", "node": "付款"}
    assert document["status"] == "suspended"
    assert document["suspension"]["escalated"] == {"node": "付款", "error": error}
    entry = document["node_executions"]["付款"]
    assert (entry["status"], entry["waiting_on"]) == ("retrying", "suspended")
    assert entry["error"] == {"type": "card_declined", "message": "余额不足"}
    _, why = ask(bench, "GET", f"/executions/{execution_id}/why")
    about = {waiting["path"]: waiting for waiting in why["waits"]}
    assert about["付款"]["waiting_on"] == "suspended"
    assert "余额不足" in about["付款"]["moves"]
    assert about["付款"]["since"] == document["suspension"]["since"]
    assert "card_declined" in about[""]["moves"]
    events = [event for event in bench.backend.bus_events() if event["detail-type"] == "execution.escalated"]
    assert [(event["detail"]["node"], event["detail"]["error"]) for event in events] == [("付款", error)]
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text("utf-8"))).validate(events[0]["detail"])


def test_it_is_retried_with_other_variables_and_the_history_says_who_wanted_that(
    bench: Bench, execution_id: str
) -> None:
    body = {"variables": {"card": "amex"}, "reason": "换卡"}
    bench.tools.calls.clear()
    code, answer = ask(bench, "POST", f"/executions/{execution_id}/retry", body, {"idempotency-key": "k"})
    assert (code, answer["changed"], answer["attempt"]) == (202, True, 1)
    assert ask(bench, "POST", f"/executions/{execution_id}/retry", body, {"idempotency-key": "k"}) == (code, answer)
    work(bench)
    document = bench.document(execution_id)
    assert (document["status"], document["attempt"], document["variables"]) == ("completed", 1, {"card": "amex"})
    assert document["output"] == {"paid": "amex"}
    _, history = ask(bench, "GET", f"/executions/{execution_id}/history")
    asked = [event for item in history["items"] for event in item["events"] if event["event"] == "retry_requested"]
    assert asked[0]["reason"] == "换卡"
    assert bench.tools.calls == ["付款", "寄出"]


def test_it_is_retried_and_escalates_again(bench: Bench, execution_id: str) -> None:
    for _ in range(2):
        assert ask(bench, "POST", f"/executions/{execution_id}/retry")[0] == 202
        work(bench)
        assert bench.document(execution_id)["status"] == "suspended"
    _, detail = ask(bench, "GET", f"/executions/{execution_id}/nodes/付款")
    assert [run["status"] for run in detail["runs"]] == ["failed"] * 3


def test_it_goes_on_with_an_output_that_a_person_gives(bench: Bench, execution_id: str) -> None:
    body = {"node": "付款", "output": {"paid": "现金"}}
    assert ask(bench, "POST", f"/executions/{execution_id}/skip", body)[0] == 202
    work(bench)
    document = bench.document(execution_id)
    assert (document["status"], document["output"]) == ("completed", {"paid": "现金"})
    assert document["node_executions"]["付款"]["given"]
    assert document["suspension"] is None


def test_resumed_it_fails_and_then_can_be_retried_as_any_other(bench: Bench, execution_id: str) -> None:
    assert ask(bench, "POST", f"/executions/{execution_id}/resume")[0] == 202
    work(bench)
    document = bench.document(execution_id)
    assert (document["status"], document["error"]["type"]) == ("failed", "card_declined")
    body = {"variables": {"card": "amex"}}
    assert ask(bench, "POST", f"/executions/{execution_id}/retry", body)[1]["attempt"] == 2
    work(bench)
    assert bench.document(execution_id)["status"] == "completed"


def test_what_cannot_be_asked_of_it_is_refused_with_the_reason(bench: Bench, execution_id: str) -> None:
    for body, reason in [({"from": "寄出"}, "付款"), ({"variables": {"cart": 1}}, "Did you mean `card`?")]:
        code, problem = ask(bench, "POST", f"/executions/{execution_id}/retry", body)
        assert (code, problem["code"]) == (409, "refused")
        assert reason in problem["detail"]


def test_an_execution_that_fails_again_as_soon_as_it_is_reopened_counts_its_attempt(bench: Bench) -> None:
    source = 'workflow: {id: w, nodes: [{id: a, type: aggregation, strategy: sum, field: x, items: "${[{}]}"}]}'
    bench.runtime.catalog.publish(source.encode())
    started = bench.runtime.starter.start("w", {})
    work(bench)
    assert bench.document(started)["status"] == "failed"
    for attempt in (2, 3):
        assert ask(bench, "POST", f"/executions/{started}/retry")[1]["attempt"] == attempt
        work(bench)
        document = bench.document(started)
        assert (document["status"], document["attempt"]) == ("failed", attempt)
