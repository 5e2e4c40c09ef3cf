"""Canaries beyond the command line: what the SDK gives and logs, what the bus carries, what providers get and answer,
and what `awr dev` writes, serves and logs."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import model_server
from tests.integration.cli.test_cli_secrets import FAILING, INPUTS, SECRETS, TOOLS, found_in, stored
from tests.integration.dev.dev_process import DevProcess

from workflow_runtime.frontends.client import WorkflowEngine
from workflow_runtime.frontends.client.events import Event

BIG = """
from workflow_runtime.sdk import tool

@tool(description="Gives back a great deal.")
def big(key: str) -> list[str]:
    return [f"{number} {key}" for number in range(4_000)]
"""
MODELS = ("told", "refused_by", "broken")
SECRET_INPUTS = "inputs: {key: '${secrets.TOKEN}', pem: '${secrets.PEM}'}"
UNDONE = "compensate: {tool: raising, inputs: {key: '${output.in_text}'}}"
RETRIED = "retry_policy: {max_retries: 1, retry_delay: 0, jitter: none}, on_error: continue"


def leaky() -> str:
    """Everything that succeeds and everything that fails, with every event that there is, and an end that undoes."""
    nodes = {
        "echoed": f"type: tool, tool: echo, inputs: {json.dumps(INPUTS)}, {UNDONE}",
        "written": "type: tool, tool: written, inputs: {key: '${secrets.TOKEN}'}",
        "big": "type: tool, tool: big, inputs: {key: '${secrets.TOKEN}'}",
        **{f"failing_{id}": f"type: tool, {node}, {RETRIED}" for id, node in FAILING.items()},
        **{model: f"type: agent, agent: {model}, {SECRET_INPUTS}, on_error: continue" for model in MODELS},
    }
    last = f"type: tool, tool: raising, dependencies: [{', '.join(nodes)}], inputs: {{key: '${{secrets.LONGER}}'}}"
    lines = [f"    - {{id: {id}, {node}}}" for id, node in {**nodes, "last": last}.items()]
    return "\n".join(["workflow:", "  id: leaky", "  events: [execution, state, node]", "  nodes:", *lines, ""])


def repeating(request: dict[str, Any]) -> str:
    """All that the model was told, as models and their servers may say it again."""
    said = json.dumps(request["messages"], ensure_ascii=False)
    return f"{said} {said.upper()} {base64.b64encode(said.encode()).decode()} {said.encode().hex()}"


@pytest.fixture
def server() -> Iterator[model_server.ModelServer]:
    def reply(request: dict[str, Any]) -> model_server.Reply:
        said = f"{repeating(request)} {server.keys[-1]}"
        if request["model"] == "told":
            return model_server.text(said)
        if request["model"] == "refused_by":
            return model_server.error(400, said, said[:2_000], x_request_id="1")
        return model_server.Reply(said.encode(), 500, {"content-type": "text/plain", "x-should-retry": "false"})

    with model_server.serving() as server:
        server.answer(reply)
        yield server


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: model_server.ModelServer) -> Path:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"WORKFLOW_SECRET_{name}", value)
    root = tmp_path / "definitions"
    for kind in ("workflows", "tools", "agents"):
        (root / kind).mkdir(parents=True)
    (root / "tools" / "mine.py").write_text(TOOLS, "utf-8")
    (root / "workflows" / "leaky.yaml").write_text(leaky(), "utf-8")
    (root / "tools" / "big.py").write_text(BIG, "utf-8")
    for agent in MODELS:
        text = f"{{id: {agent}, model: 'openai:{agent}', base_url: '{server.url}', credentials: '${{secrets.LONGER}}'}}"
        (root / "agents" / f"{agent}.yaml").write_text(text, "utf-8")
    return root


def assert_told(server: model_server.ModelServer) -> None:
    """The models were given the secrets: else nothing of this could fail."""
    assert {request["model"] for request in server.requests} == set(MODELS)
    assert all(SECRETS["TOKEN"] in json.dumps(request) for request in server.requests)
    assert set(server.keys) == {SECRETS["LONGER"]}


def leaks(texts: dict[str, str]) -> dict[str, list[str]]:
    return {place: found_in(text) for place, text in texts.items() if found_in(text)}


def test_the_sdk_gives_publishes_and_logs_no_secret(
    definitions: Path, server: model_server.ModelServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    events: list[Event] = []
    caplog.set_level(logging.DEBUG)

    async def use() -> dict[str, Any]:
        async with WorkflowEngine.local(definitions, db=tmp_path / "sdk.db") as engine:
            engine.event_bus.subscribe("*", events.append)
            execution = await engine.execute_workflow("leaky", {})
            document = await engine.wait(execution, 150)
            while events[-1]["detail-type"] != "execution.failed":
                await asyncio.sleep(0.01)
            return {"document": document, "why": await engine.why_execution(execution)}

    found = asyncio.run(use())
    assert found["document"]["status"] == "failed"
    assert found["document"]["compensation"] == "failed"
    assert {"execution.failed", "node.failed", "node.retrying", "execution.compensating"} <= {
        event["detail-type"] for event in events
    }
    assert_told(server)
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in found.items()}
    texts |= {f"event {place}": json.dumps(event, ensure_ascii=False) for place, event in enumerate(events)}
    formatter = logging.Formatter()
    texts |= {f"log {place}": formatter.format(record) for place, record in enumerate(caplog.records)}
    texts |= {f"log {place} fields": repr(record.__dict__) for place, record in enumerate(caplog.records)}
    texts |= {f"database {place}": text for place, text in enumerate(stored(tmp_path / "sdk.db"))}
    assert len(texts) > 200
    assert leaks(texts) == {}


def test_awr_dev_serves_stores_and_logs_no_secret(
    definitions: Path, server: model_server.ModelServer, tmp_path: Path
) -> None:
    database = tmp_path / "dev.db"
    dev = DevProcess(tmp_path / "log", "--definitions", definitions, "--db", database)
    with dev, httpx.Client(base_url=dev.url, timeout=120) as client:
        document = {"status": "pending"}
        while document["status"] in ("pending", "running", "compensating"):
            start = {"params": {"wait": 25}, "headers": {"idempotency-key": "one"}, "json": {"input": {}}}
            document = client.post("/workflows/leaky/execute", **start).json()
        place = f"/executions/{document['execution_id']}"
        assert document["status"] == "failed"
        paths = [place, f"{place}/history", f"{place}/journal", f"{place}/why", f"{place}/logs", "/health"]
        nodes = client.get(place, params={"include": "nodes"}).json()
        paths += [f"{place}/nodes/{node}" for node in nodes["node_executions"]]
        paths += [f"{place}/graph", "/workflows/leaky", "/dead-letters"]
        texts = {path: client.get(path).text for path in paths}
    assert_told(server)
    texts["log"] = dev.log.read_text("utf-8")
    texts |= {f"database {number}": text for number, text in enumerate(stored(database))}
    assert "node" in texts["log"]
    assert leaks(texts) == {}
