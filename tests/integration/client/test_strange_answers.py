"""The engine over HTTP, answered by what is not its API: a proxy, a login page, a connection that breaks off."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from workflow_runtime.frontends.client import EngineError, NotAuthorized, NotFound, Unavailable, WorkflowEngine
from workflow_runtime.frontends.client.remote import RemoteConnection

HTML = {"content-type": "text/html; charset=utf-8"}
JSON = {"content-type": "application/json"}
PAGE = (
    "<html><head><style>p {color: red}</style><title>502 Bad Gateway</title></head><body>nginx &amp; 代理</body></html>"
)

Ask = Callable[[WorkflowEngine], Awaitable[Any]]
CALLS: dict[str, Ask] = {
    "publish": lambda engine: engine.create_workflow(
        {"id": "w", "nodes": [{"id": "a", "type": "tool", "tool": "echo"}]}
    ),
    "start": lambda engine: engine.execute_workflow("w", {}),
    "status": lambda engine: engine.get_execution_status("ex-1"),
    "list": lambda engine: engine.list_executions("w"),
    "event": lambda engine: engine.send_event("ex-1", "go"),
    "cancel": lambda engine: engine.cancel_execution("ex-1"),
    "wait": lambda engine: engine.wait("ex-1", timeout=1),
}


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def refusal(ask: Ask, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> EngineError:
    """What a call raises when every request is answered so."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=content, headers=headers or {})

    async def scenario() -> EngineError:
        connection = RemoteConnection("http://localhost", transport=httpx.MockTransport(answer), sleep=_no_sleep)
        async with WorkflowEngine(connection) as engine:
            with pytest.raises(EngineError) as refused:
                await ask(engine)
            return refused.value

    return asyncio.run(scenario())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("content", "headers", "shown"),
    [
        (PAGE.encode(), HTML, "text/html (502 Bad Gateway nginx &amp; 代理)"),
        (b"", {}, "an empty body"),
        (b'{"execution_id": "ex-1", "sta', JSON, 'application/json ({"execution_id": "ex-1", "sta)'),
        (b'[{"execution_id": "ex-1"}]', JSON, "application/json ([{"),
        (b"null", JSON, "application/json (null)"),
        (b"\xff\xfe\x00", {}, "a body of no stated type"),
        (b'{"hello": "world"}', JSON, "without `"),
    ],
    ids=["page", "empty", "truncated", "array", "null", "bytes", "other"],
)
def test_a_success_that_is_not_this_apis_says_what_it_is(
    call: str, content: bytes, headers: dict[str, str], shown: str
) -> None:
    error = refusal(CALLS[call], 200, content, headers)
    assert error.code == "unexpected_answer"
    assert "was answered 200" in error.message
    assert "http://localhost/" in error.message
    assert shown in error.message
    assert "color: red" not in error.message


@pytest.mark.parametrize(
    ("status", "kind"), [(502, Unavailable), (404, NotFound), (403, NotAuthorized), (418, EngineError)]
)
def test_an_error_page_gives_its_status_and_how_it_begins(status: int, kind: type[EngineError]) -> None:
    error = refusal(CALLS["start"], status, PAGE.encode(), HTML)
    assert type(error) is kind
    assert error.code == f"http_{status}"
    assert f"POST http://localhost/workflows/w/execute was answered {status}" in error.message
    assert "502 Bad Gateway nginx" in error.message
    assert f"was answered {status}" in refusal(CALLS["start"], status).message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_it_leads(status: int) -> None:
    error = refusal(CALLS["start"], status, PAGE.encode(), {"location": "https://login.example/?to=awr", **HTML})
    assert error.code == "redirected"
    assert f"was answered {status} with a redirect to https://login.example/?to=awr" in error.message


def test_a_body_that_cannot_be_unpacked_is_said_to_be_so() -> None:
    broken = gzip.compress(b"{}" * 1000)[:-20][:10] + b"\x00garbage"
    error = refusal(CALLS["status"], 200, broken, {**JSON, "content-encoding": "gzip"})
    assert error.code == "unexpected_answer"
    assert "cannot be unpacked" in error.message


def test_a_page_of_any_size_is_shown_by_its_beginning() -> None:
    error = refusal(CALLS["status"], 200, b"<" * 2**20, HTML)
    assert len(error.message) < 500
    error = refusal(CALLS["status"], 500, b"x" * 2**20, {"content-type": "text/plain"})
    assert len(error.message) < 500
