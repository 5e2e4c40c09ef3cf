"""Agents that the SDK publishes: the same in this process and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from workflow_runtime import SyncWorkflowEngine, WorkflowEngine
from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.client import Conflict, InvalidDefinition, NotFound
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.handlers.api import create
from workflow_runtime.runtime.in_process import LocalRuntime

Opened = Callable[[], AbstractAsyncContextManager[WorkflowEngine]]
SCORE = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
WRITER = {"id": "写手", "model": "test", "output_schema": SCORE}
WORKFLOW = {
    "id": "w",
    "nodes": [{"id": "a", "type": "agent", "agent": "写手", "prompt": "hello"}],
    "outputs": {"score": "${a.score}"},
}


@asynccontextmanager
async def local() -> AsyncIterator[WorkflowEngine]:
    async with WorkflowEngine.local() as engine:
        yield engine


@asynccontextmanager
async def remote() -> AsyncIterator[WorkflowEngine]:
    runtime, function = LocalRuntime(open_backend(), environ={}), TOPOLOGY.function("api")
    handler = create(runtime.services, function)
    gateway = Gateway(lambda: handler, LocalContext(function), lambda *_: None)
    runtime.start()
    transport = httpx.ASGITransport(app=gateway)
    try:
        async with WorkflowEngine(RemoteConnection("http://localhost", transport=transport)) as engine:
            yield engine
    finally:
        await runtime.stop()


@pytest.mark.parametrize("opened", [local, remote])
def test_an_agent_is_published_runs_and_is_deleted(
    opened: Opened,
) -> None:
    async def use() -> None:
        async with opened() as engine:
            first = await engine.publish_agent(WRITER)
            assert (first["agent_id"], first["version"]) == ("写手", 1)
            assert (await engine.publish_agent(WRITER))["version"] == 1
            assert (await engine.publish_agent("id: 写手\nmodel: test\noutput_schema: {type: object}\n"))[
                "version"
            ] == 2
            assert (await engine.publish_agent(WRITER))["version"] == 3
            await engine.create_workflow(WORKFLOW)
            ended = await engine.execute_workflow("w", wait=100)
            document: Any = await engine.get_execution_status(ended)
            assert (document["status"], document["output"]) == ("completed", {"score": 0})
            (listed,) = await engine.list_agents()
            assert (listed["agent_id"], listed["source"], listed["version"]) == ("写手", "published", 3)
            assert (await engine.get_agent("写手", version=2))["output_schema"] == {"type": "object"}
            with pytest.raises(Conflict, match="force=true"):
                await engine.delete_agent("写手")
            await engine.delete_agent("写手", force=True)
            with pytest.raises(NotFound):
                await engine.get_agent("写手")

    asyncio.run(use())


@pytest.mark.parametrize("opened", [local, remote])
def test_findings_are_raised(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            with pytest.raises(InvalidDefinition) as raised:
                await engine.publish_agent({**WRITER, "tools": ["nobody"]})
            assert [finding.id for finding in raised.value.findings] == ["WF609"]
            assert await engine.list_agents() == []

    asyncio.run(use())


def test_published_agents_outlive_the_process(tmp_path: Path) -> None:
    with SyncWorkflowEngine.local(db=tmp_path / "awr.db") as engine:
        assert engine.publish_agent(WRITER)["version"] == 1
    with SyncWorkflowEngine.local(db=tmp_path / "awr.db") as engine:
        engine.create_workflow(WORKFLOW)
        document: Any = engine.get_execution_status(engine.execute_workflow("w", wait=100))
        assert document["output"] == {"score": 0}
        assert [agent["agent_id"] for agent in engine.list_agents()] == ["写手"]
        assert engine.get_agent("写手")["version"] == 1
        engine.delete_agent("写手", force=True)
