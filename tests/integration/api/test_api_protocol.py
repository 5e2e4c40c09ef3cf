"""What the API promises about HTTP: problems everywhere, methods, stages, encodings, faults."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from tests.broken import Broken

from workflow_runtime.errors import ConflictError, RetryableError
from workflow_runtime.runtime.in_process import LocalRuntime

from .conftest import JSON, YAML, Api, Reply

GREETING = "workflow: {id: greeting, nodes: [{id: a, type: tool, tool: echo}]}"

HOOKED = """
workflow:
  id: hooked
  triggers: [{type: webhook, endpoint: open, auth_required: false, input: {v: "${body}"}}]
  nodes: [{id: a, type: tool, tool: echo}]
"""


def test_health_reads_the_table(api: Any) -> None:
    assert api("GET", "/health").json == {"status": "ok", "frozen": []}


@pytest.mark.parametrize(
    "path", ["/", "", "/nope", "/workflows/", "/workflows/a/b", "//", "/executions/a/nodes", "/%00"]
)
def test_what_is_not_there_is_a_problem(api: Any, path: str) -> None:
    assert api("GET", path).code == "not_found"


def test_a_wrong_method_is_told_the_right_ones(api: Any) -> None:
    reply = api("PATCH", "/workflows/%E4%B8%AD")
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "DELETE, GET, PUT, HEAD"
    assert api("DELETE", "/workflows").headers["allow"] == "GET, POST, HEAD"


def test_head_answers_as_get_without_a_body(api: Any) -> None:
    reply = api("HEAD", "/health")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"", "application/json")
    assert api("HEAD", "/nope").status == 404


def test_a_parameter_that_there_is_not_is_refused(api: Any) -> None:
    reply = api("GET", "/workflows?limits=3")
    assert reply.code == "invalid_request"
    assert reply.json["errors"] == [{"in": "query", "name": "limits", "message": "there is no such parameter"}]


@pytest.mark.parametrize(
    ("request_", "body", "said"),
    [
        ("POST /workflows/hooked/execute", '{"input": 5}', "input: must be an object"),
        ("POST /workflows/hooked/execute", '{"input": null}', "input: must be an object"),
        ("POST /workflows/hooked/execute", '{"inputs": {}}', "inputs: is not known here. Did you mean `input`?"),
        ("POST /workflows/hooked/execute", "[]", "body: must be an object"),
        ("POST /workflows/hooked/execute?wait=soon", "{}", "wait: must be a number"),
        ("POST /workflows/hooked/execute?wait=nan", "{}", "wait: must be"),
        ("POST /workflows/hooked/execute?wait=-1", "{}", "wait: must be at least 0"),
        ("GET /executions?limit=many", "", "limit: must be a whole number"),
        ("GET /executions?limit=0", "", "limit: must be at least 1"),
        ("GET /executions?status=done", "", "status: must be 'pending', 'running'"),
        ("POST /executions/x/events", '{"data": 1}', "event: is required"),
        ("POST /executions/x/events", '{"event": ""}', "event: must not be empty"),
        ("POST /executions/x/cancel", '{"reason": 5}', "reason: must be text"),
    ],
)
def test_what_is_not_valid_is_told_in_words_of_http_and_json(api: Any, request_: str, body: str, said: str) -> None:
    method, _, path = request_.partition(" ")
    reply = api(method, path, body, JSON)
    assert reply.code == "invalid_request"
    assert reply.json["detail"].startswith(said), reply.json["detail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("18446744073709551616", "is an integer beyond 64 bits; use text"),
        ("[" * 102 + "]" * 102, "nested more than 101 levels deep"),
        ("[" * 5000 + "]" * 5000, "nested more than 101 levels deep"),
        ("NaN", "the body is not JSON"),
        ("1e400", "the body is not JSON"),
        ('"\\ud83d"', "the body is not JSON"),
    ],
)
def test_every_door_refuses_what_is_no_value(api: Any, text: str, said: str) -> None:
    api.publish(HOOKED)
    execution_id = api.run("hooked")
    for path, body in (
        ("/workflows/hooked/execute", f'{{"input": {{"v": {text}}}}}'),
        (f"/executions/{execution_id}/events", f'{{"event": "go", "data": {text}}}'),
        ("/hooks/hooked/open", f'{{"v": {text}}}'),
    ):
        reply = api("POST", path, body, JSON)
        assert reply.status in (400, 422)
        assert said in reply.json["detail"]


def test_a_stage_is_no_part_of_the_path(api: Any) -> None:
    staged = Api(api.runtime, stage="prod")
    reply = staged("POST", "/workflows", GREETING, YAML)
    assert reply.headers["location"] == "/prod/workflows/greeting"
    started = staged.start("greeting")
    assert started.headers["location"].startswith("/prod/executions/ex-")
    event = staged.event("GET", "/health")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/health"  # a custom domain
    assert Reply(asyncio.run(staged.handler(event, None))).status == 200


def test_a_path_may_come_decoded_or_encoded(api: Any) -> None:
    api.publish(GREETING.replace("greeting", "问候"))
    assert api("GET", "/workflows/问候").status == 200
    assert api("GET", "/workflows/%E9%97%AE%E5%80%99").status == 200


def test_a_body_that_is_not_base64_though_it_says_so_is_refused(api: Any) -> None:
    event = api.event("POST", "/workflows", GREETING, YAML)
    event["isBase64Encoded"] = True
    assert Reply(asyncio.run(api.handler(event, None))).code == "invalid_body"


def broken(api: Any, error: Exception) -> Any:
    """The same API before a table that fails."""
    table: Any = Broken(error)
    api.runtime.backend.ports = replace(api.runtime.backend.ports, table=table)
    return Api(LocalRuntime(api.runtime.backend))


@pytest.mark.parametrize("error", [RetryableError("throttled: table 7"), ConflictError("lost")])
def test_a_passing_fault_asks_to_try_again(api: Any, error: Exception) -> None:
    reply = broken(api, error)("GET", "/health")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")
    assert "table 7" not in reply.body.decode()


def test_a_fault_of_ours_shows_nothing_of_its_cause(api: Any, caplog: pytest.LogCaptureFixture) -> None:
    reply = broken(api, ZeroDivisionError("secret-canary"))("GET", "/health")
    assert (reply.status, reply.code) == (500, "internal_error")
    assert b"canary" not in reply.body
    assert b"Traceback" not in reply.body
    assert "secret-canary" in caplog.text  # the log has it


def test_an_event_that_is_no_request_is_answered_too(api: Any) -> None:
    assert Reply(asyncio.run(api.handler({}, None))).code == "internal_error"


def test_answers_are_not_to_be_kept(api: Any) -> None:
    headers = api("GET", "/health").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
