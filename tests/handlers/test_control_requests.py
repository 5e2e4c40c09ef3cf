"""Requests about executions through the API's real handler, on both backends: who asked, why, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.handlers.bench import Bench
from tests.handlers.http_requests import FUNCTION, answer_of, ask, event_of
from tests.handlers.test_events_to_executions import send, shown, started, work

from workflow_runtime.backends.embedded.pump import LocalContext

CALLER = "arn:aws:iam::123456789012:user/李雷"


def test_a_cancelled_execution_says_who_asked_and_why(bench: Bench) -> None:
    execution_id = started(bench, "withdrawn")
    event = event_of("POST", f"/executions/{execution_id}/cancel", {"reason": "撤回"}, {"idempotency-key": "k"}, "")
    event["requestContext"]["authorizer"] = {"iam": {"userArn": CALLER}}
    handler = bench.api()

    async def send() -> dict[str, Any]:
        answered: dict[str, Any] = await handler(event, LocalContext(FUNCTION))
        return answered

    accepted = {"execution_id": execution_id, "operation": "cancel", "id": "k", "changed": True, "attempt": 1}
    assert answer_of(asyncio.run(send())) == (202, accepted)
    work(bench)
    assert shown(bench, execution_id)["status"] == "cancelled"
    _, history = ask(bench, "GET", f"/executions/{execution_id}/history")
    request = {"event": "cancel_requested", "id": "control:k", "by": CALLER, "reason": "撤回"}
    assert request in history["items"][-1]["events"]
    assert answer_of(asyncio.run(send())) == (202, accepted)
    status, again = ask(bench, "POST", f"/executions/{execution_id}/cancel")
    assert (status, again["changed"]) == (200, False)


def test_what_has_completed_cannot_be_cancelled(bench: Bench) -> None:
    source = b"workflow: {id: done, nodes: [{id: p, type: control, subtype: pass}]}"
    bench.runtime.catalog.publish(source)
    execution_id = bench.runtime.starter.start("done", {})
    work(bench)
    status, problem = ask(bench, "POST", f"/executions/{execution_id}/cancel")
    assert (status, problem["code"]) == (409, "ended")
    assert "completed" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "code"), [({"reason": "x" * 1001}, 422), ({"reason": 1}, 422), ({"why": "x"}, 422), ([], 422)]
)
def test_a_request_that_is_not_valid_is_refused(bench: Bench, body: Any, code: int) -> None:
    assert ask(bench, "POST", "/executions/ex-none/cancel", body)[0] == code


@pytest.mark.parametrize("execution_id", ["ex-none", "不"])
def test_an_execution_that_does_not_exist_is_not_found(bench: Bench, execution_id: str) -> None:
    assert ask(bench, "POST", f"/executions/{execution_id}/cancel")[0] == 404


def test_a_suspended_execution_holds_what_comes_until_it_is_resumed(bench: Bench) -> None:
    execution_id = started(bench, "suspended")
    body = {"reason": "维护"}
    assert ask(bench, "POST", f"/executions/{execution_id}/suspend", body)[0] == 202
    work(bench)
    for number in range(3):
        code, _ = send(bench, execution_id, "pay", {"method": "cash", "n": number})
        assert code == 202
    document = shown(bench, execution_id)
    assert (document["status"], document["current_states"]) == ("suspended", ["created"])
    assert (document["suspension"]["reason"], document["suspension"]["held"]) == ("维护", 3)
    listed = ask(bench, "GET", "/executions", query="workflow=suspended&status=suspended")[1]
    assert [item["execution_id"] for item in listed["items"]] == [execution_id]
    assert ask(bench, "POST", f"/executions/{execution_id}/resume")[0] == 202
    send(bench, execution_id, "pay", {"method": "card"})
    document = shown(bench, execution_id)
    assert document["status"] == "running"
    assert [step["event"] for step in document["transitions"]][:5] == [None, "pay", "pay", "pay", "pay"]
    assert document["suspension"] is None
