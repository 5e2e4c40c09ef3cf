"""The API's real handler on both backends, fed with the sample events that the repository ships."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.handlers.bench import Bench

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import DISPATCH, TOPOLOGY

EVENTS = Path(__file__).parents[2] / "events" / "api"
FUNCTION = TOPOLOGY.function("api")


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode((EVENTS / f"{name}.json").read_bytes())
    return event


def answer(bench: Bench, event: dict[str, Any]) -> dict[str, Any]:
    handler = bench.api()

    async def handle() -> dict[str, Any]:
        answered: dict[str, Any] = await handler(event, LocalContext(FUNCTION))
        return answered

    answered = asyncio.run(handle())
    body = answered["body"]
    answered["text"] = base64.b64decode(body).decode() if answered["isBase64Encoded"] else body
    if "json" in answered["headers"].get("content-type", ""):
        answered["json"] = msgspec.json.decode(answered["text"])
    return answered


def ask(bench: Bench, method: str, path: str, query: str = "") -> dict[str, Any]:
    event = sample("get_workflow")
    event |= {"rawPath": path, "rawQueryString": query}
    event["requestContext"]["http"] |= {"method": method, "path": path}
    return answer(bench, event)


def test_a_workflow_lives_from_its_publishing_to_its_removal(bench: Bench) -> None:
    created = answer(bench, sample("create_workflow"))
    assert created["statusCode"] == 201, created["text"]
    etag = created["headers"]["etag"]
    shown = answer(bench, sample("get_workflow"))
    assert (shown["statusCode"], shown["headers"]["etag"]) == (200, etag)
    put = sample("put_workflow")
    put["headers"]["if-match"] = etag
    changed = answer(bench, put)
    assert (changed["statusCode"], changed["json"]["version"]) == (200, 2)
    assert answer(bench, put)["statusCode"] == 412
    assert [item["version"] for item in ask(bench, "GET", "/workflows/greeting/versions")["json"]["items"]] == [2, 1]
    assert "greeting" in [item["workflow_id"] for item in ask(bench, "GET", "/workflows")["json"]["items"]]

    started = answer(bench, sample("start_execution"))
    assert started["statusCode"] == 202, started["text"]
    assert answer(bench, sample("start_execution"))["json"]["execution_id"] == started["json"]["execution_id"]
    assert ask(bench, "DELETE", "/workflows/greeting")["statusCode"] == 409
    bench.drain()
    url = started["headers"]["location"]
    ended = ask(bench, "GET", url, "include=nodes,input,output")["json"]
    assert (ended["status"], ended["output"], ended["input"]) == ("completed", {"name": "小明"}, {"name": "小明"})
    assert ended["node_executions"]["hallo"]["status"] == "success"
    assert ask(bench, "GET", f"{url}/nodes/hallo")["json"]["output"] == {"name": "小明"}
    history = ask(bench, "GET", f"{url}/history", "limit=2")["json"]
    assert [entry["version"] for entry in history["items"]] == [1, 2]
    listed = ask(bench, "GET", "/executions", "workflow=greeting&status=completed")["json"]["items"]
    assert [item["execution_id"] for item in listed] == [started["json"]["execution_id"]]

    assert ask(bench, "DELETE", "/workflows/greeting")["statusCode"] == 204
    assert ask(bench, "GET", "/workflows/greeting")["statusCode"] == 404
    assert ask(bench, "POST", "/workflows/greeting/execute", "version=1")["statusCode"] == 404
    assert ask(bench, "GET", url)["json"]["status"] == "completed"
    again = answer(bench, sample("create_workflow"))
    assert (again["statusCode"], again["json"]["version"]) == (201, 3)


def test_a_start_that_ended_already_answers_a_waiting_caller_at_once(bench: Bench) -> None:
    answer(bench, sample("create_workflow"))
    start = sample("start_execution")
    start["headers"]["idempotency-key"] = "waiting"
    answer(bench, start)
    bench.drain()
    waited = answer(bench, start | {"rawQueryString": "wait=25"})
    assert (waited["statusCode"], waited["json"]["status"]) == (200, "completed")


def test_the_api_only_pokes_mailboxes(bench: Bench) -> None:
    answer(bench, sample("create_workflow"))
    bench.drain()
    start = sample("start_execution")
    start["headers"]["idempotency-key"] = "poked"
    execution_id = answer(bench, start)["json"]["execution_id"]
    assert bench.runtime.documents.status(execution_id) == "pending"
    assert len(bench.receive(DISPATCH)) == 1
    bench.pass_time(1_000)
    bench.drain()


def test_large_values_are_slices_on_either_backend(bench: Bench) -> None:
    import random

    answer(bench, sample("create_workflow"))
    start = sample("start_execution")
    name = random.Random(7).randbytes(3_000_000).hex()
    start |= {"body": msgspec.json.encode({"input": {"name": name}}).decode()}
    start["headers"]["idempotency-key"] = "large"
    execution_id = answer(bench, start)["json"]["execution_id"]
    note = ask(bench, "GET", f"/executions/{execution_id}", "include=input")["json"]["input"]
    assert note["truncated"] is True
    text = ""
    while len(text) < note["bytes"]:
        part = ask(bench, "GET", f"/executions/{execution_id}", f"include=input&range={len(text)}-")
        assert part["statusCode"] == 206
        text += part["text"]
    assert msgspec.json.decode(text) == {"name": name}
    bench.drain()


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_sample_event_is_understood(bench: Bench, path: Path) -> None:
    assert answer(bench, sample(path.stem))["statusCode"] in (200, 201, 202, 204, 404, 409, 412)


def test_the_header_of_a_start_sets_the_correlation_id(bench: Bench) -> None:
    answer(bench, sample("create_workflow"))
    start = sample("start_execution")
    start["headers"] = {**start["headers"], "X-Correlation-Id": "order-4711", "Idempotency-Key": "correlated"}
    started = answer(bench, start)
    assert started["json"]["correlation_id"] == "order-4711", started["text"]
    shown = ask(bench, "GET", f"/executions/{started['json']['execution_id']}")
    assert shown["json"]["correlation_id"] == "order-4711"
    start["headers"] |= {"X-Correlation-Id": "请求", "Idempotency-Key": "another"}
    assert answer(bench, start)["statusCode"] == 422
    bench.drain()


def call_mcp(bench: Bench, method: str, params: dict[str, Any]) -> Any:
    """A call in a revision with a handshake, which needs no headers."""
    event = sample("create_workflow")
    event["requestContext"]["http"] |= {"method": "POST", "path": "/mcp"}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    event |= {"rawPath": "/mcp", "body": msgspec.json.encode(body).decode(), "isBase64Encoded": False}
    event["headers"]["content-type"] = "application/json"
    return answer(bench, event)["json"]["result"]


def test_a_workflow_is_a_tool_and_its_execution_a_stream_and_a_trace(bench: Bench) -> None:
    source = (
        "workflow: {id: greet, expose: mcp, input_schema: {type: object}, "
        "nodes: [{id: ask, type: control, subtype: approval, prompt: Sure?}]}"
    )
    bench.runtime.catalog.publish(source.encode())
    assert [tool["name"] for tool in call_mcp(bench, "tools/list", {})["tools"]] == ["get_execution", "greet"]
    execution_id = bench.runtime.starter.start("greet")
    bench.drain()
    said = call_mcp(bench, "tools/call", {"name": "get_execution", "arguments": {"execution_id": execution_id}})
    assert "ask: " in said["content"][0]["text"]
    streamed = ask(bench, "GET", f"/executions/{execution_id}/stream")
    assert streamed["headers"]["content-type"] == "text/event-stream"
    assert '"type":"RUN_STARTED"' in streamed["text"]
    assert '"prompt":"Sure?"' in streamed["text"]
    (resource,) = ask(bench, "GET", f"/executions/{execution_id}/trace")["json"]["resourceSpans"]
    assert resource["scopeSpans"][0]["spans"][0]["name"] == "workflow greet"
