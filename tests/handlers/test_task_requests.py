"""Task tokens through the API's real handler, on both backends: what is taken, and what is refused and why."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.handlers.bench import Bench
from tests.handlers.test_approval_requests import ask
from tests.handlers.test_events_to_executions import work

from workflow_runtime.storage.tasks import hash_of

NODE = {
    "id": "render",
    "type": "tool",
    "tool": "render",
    "inputs": {"t": "${task_token}"},
    "callback": {"heartbeat": "1h"},
}


def started(bench: Bench, **fields: Any) -> tuple[str, str]:
    """An execution whose node waits, and its token."""
    tokens: list[Any] = []
    bench.tools.tools["render"] = lambda call: tokens.append(call.inputs["t"])
    bench.runtime.catalog.publish(msgspec.json.encode({"workflow": {"id": "film", "nodes": [{**NODE, **fields}]}}))
    execution_id = bench.runtime.starter.start("film", {})
    work(bench)
    assert bench.runtime.documents.document(execution_id)["node_executions"]["render"]["status"] == "running"
    return execution_id, tokens[0]


def test_a_token_completes_its_node_once(bench: Bench) -> None:
    execution_id, token = started(bench)
    said = {"token": token, "output": {"url": "x"}}
    assert ask(bench, "POST", "/tasks/heartbeat", {"token": token}) == (200, {"changed": True})
    assert ask(bench, "POST", "/tasks/complete", said) == (202, {"changed": True})
    work(bench)
    document = bench.runtime.documents.document(execution_id)
    assert (document["status"], document["output"]) == ("completed", {"url": "x"})
    assert ask(bench, "POST", "/tasks/complete", said) == (200, {"changed": False})
    for what, more in (("complete", {"output": 1}), ("fail", {}), ("heartbeat", {})):
        status, answer = ask(bench, "POST", f"/tasks/{what}", {"token": token, **more})
        assert status == 409
        assert answer["detail"].startswith("the task token counts no more: it was completed at ")


def test_a_token_is_never_shown(bench: Bench) -> None:
    execution_id, token = started(bench)
    said = {"token": token, "type": "busy", "message": f"no place for {token}"}
    assert ask(bench, "POST", "/tasks/fail", said) == (202, {"changed": True})
    work(bench)
    status, document = ask(bench, "GET", f"/executions/{execution_id}")
    assert (status, document["error"]["type"], document["error"]["message"]) == (200, "busy", "no place for ***")
    _, history = ask(bench, "GET", f"/executions/{execution_id}/history")
    assert token not in json.dumps([document, history])
    held = bench.runtime.ports.table.query(f"TASK#{hash_of(token)}")
    assert token not in repr(held)


@pytest.mark.parametrize(
    ("what", "body", "status", "message"),
    [
        ("complete", {"token": "nobody's", "output": 1}, 404, "there is no such task token"),
        ("heartbeat", {"token": "nobody's"}, 404, "there is no such task token"),
        ("complete", {"output": 1}, 422, "token"),
        ("complete", {"token": ""}, 422, "token"),
        ("complete", {"token": 5}, 422, "token"),
        ("fail", {"token": "x", "type": ""}, 422, "type"),
        ("fail", {"token": "x", "mesage": "typo"}, 422, "mesage"),
    ],
)
def test_what_is_refused(bench: Bench, what: str, body: dict[str, Any], status: int, message: str) -> None:
    answered, answer = ask(bench, "POST", f"/tasks/{what}", body)
    assert answered == status
    assert message in json.dumps(answer, ensure_ascii=False)


def test_a_cancelled_node_says_so(bench: Bench) -> None:
    execution_id, token = started(bench)
    assert ask(bench, "POST", f"/executions/{execution_id}/cancel", {})[0] in (200, 202)
    work(bench)
    status, answer = ask(bench, "POST", "/tasks/complete", {"token": token})
    assert (status, answer["detail"].partition(" at ")[0]) == (
        409,
        "the task token counts no more: the node has ended",
    )
