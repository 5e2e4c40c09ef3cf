"""There is one execution document: whoever asks, in this process or over HTTP, gets the same."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.client import WorkflowEngine
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.handlers.api import create
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import LocalRuntime

MOCKS = {"tools": {"broken": {"raise": {"type": "broken", "message": "坏了"}}}}
# As long as 60,000 digits of many kinds: it does not compress well, so that it is stored apart.
LONG = " ".join(str(number * number) for number in range(8000))


def echo(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "echo", **fields}


DAG: dict[str, Any] = {
    "variables": {"地区": "北京", "retries": 3},
    "nodes": [
        echo("一", inputs={"city": "${地区}", "missing": "${input.nothing}"}),
        echo("二", depends_on=["一"], inputs={"city": "${一.city}"}),
        echo("never", depends_on=["二"], when="retries > 3"),
    ],
    "outputs": {"city": "${二.city}"},
}
FAILED = {**DAG, "nodes": [echo("一"), {"id": "二", "type": "tool", "tool": "broken", "depends_on": ["一"]}]}
LARGE = {"nodes": [echo("long", inputs={"text": "${input.text}"})], "outputs": {"text": "${long.text}"}}
CHART: dict[str, Any] = {
    "type": "state_machine",
    "initial_state": "待付",
    "final_states": ["done"],
    "variables": {"paid": 0},
    "states": [
        {
            "name": "待付",
            "transitions": [
                {"event": "pay", "target": "已付", "actions": [{"set_variable": {"name": "paid", "value": 1}}]}
            ],
            "after": [{"delay": 3600, "target": "done"}],
        },
        {"name": "已付", "transitions": [{"event": "end", "target": "done"}]},
    ],
}
HYBRID: dict[str, Any] = {
    **CHART,
    "states": [
        {"name": "待付", "run": [echo("charge", inputs={"amount": "${paid}"})], "on_done": "已付"},
        {"name": "已付", "transitions": [{"event": "end", "target": "done"}]},
    ],
}


async def documents(definition: dict[str, Any], input: dict[str, Any], events: tuple[str, ...]) -> list[dict[str, Any]]:
    """The execution's document as the SDK gets it: from the runtime, and from the API of the same runtime."""
    runtime = LocalRuntime(open_backend(), mocks=Mocks.load(MOCKS), environ={})
    function = TOPOLOGY.function("api")
    handler = create(runtime.services, function)
    gateway = Gateway(lambda: handler, LocalContext(function), lambda *_: None)
    runtime.start()
    try:
        connection = RemoteConnection("http://localhost", transport=httpx.ASGITransport(app=gateway))
        async with WorkflowEngine(connection) as engine:
            workflow_id = await engine.create_workflow({"id": "w", **definition})
            execution_id = await engine.execute_workflow(workflow_id, input)
            for event in events:
                answer = await engine.send_event(execution_id, event, wait=25)
                assert answer["outcome"] == "taken"
            while _moves(await engine.get_execution_status(execution_id)):
                await asyncio.sleep(0.01)
            return [runtime.services.documents.document(execution_id), await engine.get_execution_status(execution_id)]
    finally:
        await runtime.stop()


def _moves(document: dict[str, Any]) -> bool:
    """Whether it goes on by itself: it has not ended, and listens to no event."""
    return document["status"] in ("pending", "running") and not document["available_events"]


@pytest.mark.parametrize(
    ("definition", "input", "events", "status"),
    [
        (DAG, {"x": 1}, (), "completed"),
        (FAILED, {}, (), "failed"),
        (LARGE, {"text": LONG}, (), "completed"),
        (CHART, {}, ("pay",), "running"),
        (CHART, {}, ("pay", "end"), "completed"),
        (HYBRID, {}, (), "running"),
    ],
    ids=["graph", "failed graph", "large values", "running chart", "ended chart", "chart with a graph"],
)
def test_the_document_is_the_same_here_and_over_http(
    definition: dict[str, Any], input: dict[str, Any], events: tuple[str, ...], status: str
) -> None:
    here, over_http = asyncio.run(documents(definition, input, events))
    assert here["status"] == status
    assert over_http == here
    if "variables" in definition:
        assert over_http["variables"].keys() == definition["variables"].keys()
