"""Webhooks over HTTP: what senders are told, and how endpoints are spelled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.intake.webhooks import signature_of

from .conftest import Api, Reply

SAMPLE = Path(__file__).parents[3] / "events" / "api" / "receive_hook.json"
START = 1_700_000_000_000
SECRET = "webhook-secret"
WORKFLOW = """
workflow:
  id: greeting
  triggers:
    - {type: webhook, endpoint: /支付/完成, secret: "${secrets.HOOK}"}
    - {type: webhook, endpoint: form, auth_required: false, input: {a: "${a}", q: "${query.q}"}}
    - {type: webhook, endpoint: ping, method: GET, auth_required: false, input: {q: "${query.q}"}}
  nodes: [{id: a, type: tool, tool: echo}]
"""
ENDPOINT = "/hooks/greeting/" + quote("支付/完成")


@pytest.fixture
def hooks() -> Iterator[Api]:
    backend = open_backend(None, VirtualClock(START))
    with LocalRuntime(backend, environ={"WORKFLOW_SECRET_HOOK": SECRET}) as runtime:
        api = Api(runtime)
        api.publish(WORKFLOW)
        yield api


def signed(body: bytes, seconds: int = START // 1000) -> dict[str, str]:
    signature = signature_of(SECRET, str(seconds), "POST /hooks/greeting/支付/完成", body)
    return {"Content-Type": "application/json", "X-Timestamp": str(seconds), "X-Signature": f"sha256={signature}"}


def given(api: Api, reply: Reply) -> Any:
    assert reply.status == 202, reply.body
    return api.runtime.services.documents.document(reply.json["execution_id"])["input"]


def test_the_sample_request_starts_an_execution(hooks: Api) -> None:
    event = json.loads(SAMPLE.read_text(encoding="utf-8"))
    reply = Reply(asyncio.run(hooks.handler(event, None)))
    assert given(hooks, reply) == {"trigger": {"payment_id": "pay-7", "状态": "成功"}}
    assert Reply(asyncio.run(hooks.handler(event, None))).code == "conflict"


@pytest.mark.parametrize(
    "path",
    [
        ENDPOINT,
        ENDPOINT + "/",
        "/hooks/greeting/支付/完成",
        "/hooks/greeting/" + quote("支付/完成", safe=""),
    ],
)
def test_an_endpoint_may_have_slashes_and_any_script_encoded_or_not(hooks: Api, path: str) -> None:
    assert given(hooks, hooks("POST", path, b"[1]", signed(b"[1]"))) == {"trigger": [1]}


def test_refusals_are_problems_that_do_not_say_what_there_is(hooks: Api) -> None:
    assert hooks("POST", ENDPOINT, b"{}", {}).code == "unauthorized"
    assert hooks("POST", ENDPOINT, b"{}", signed(b"{}", START // 1000 - 301)).code == "unauthorized"
    missing = [hooks(method, path, b"{}", signed(b"{}")) for method, path in (
        ("POST", "/hooks/greeting/else"),
        ("POST", "/hooks/nobody/" + quote("支付/完成")),
        ("PUT", ENDPOINT),
        ("GET", ENDPOINT),
    )]  # fmt: skip
    assert {reply.code for reply in missing} == {"not_found"}
    assert len({reply.body for reply in missing}) == 1


def test_a_body_that_cannot_be_read_may_be_sent_again(hooks: Api) -> None:
    broken = b"{"
    assert hooks("POST", ENDPOINT, broken, signed(broken)).code == "invalid_body"
    headers = {**signed(b"[5]"), "Content-Type": "application/xml"}
    assert hooks("POST", ENDPOINT, b"[5]", headers).code == "unsupported_media_type"
    assert given(hooks, hooks("POST", ENDPOINT, b"[5]", signed(b"[5]"))) == {"trigger": [5]}


def test_forms_queries_and_no_body_at_all(hooks: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = hooks("POST", "/hooks/greeting/form?q=1&more=2", "a=%E4%B8%AD&b=", form)
    assert given(hooks, reply) == {"a": "中", "q": "1"}
    assert given(hooks, hooks("GET", "/hooks/greeting/ping?q=x")) == {"q": "x"}
    assert hooks("HEAD", "/hooks/greeting/ping").status == 404


def test_a_type_with_a_suffix_is_json(hooks: Api) -> None:
    body = b'{"specversion": "1.0"}'
    headers = {**signed(body), "Content-Type": "application/cloudevents+json; charset=utf-8"}
    assert given(hooks, hooks("POST", ENDPOINT, body, headers)) == {"trigger": {"specversion": "1.0"}}
