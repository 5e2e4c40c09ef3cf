"""The engine answers approvals: in this process, and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from tests.integration.client.test_remote_engine import engine_of_the_api

from workflow_runtime.frontends.client import Conflict, EngineError, NotAuthorized, NotFound, WorkflowEngine
from workflow_runtime.frontends.client.sync import SyncWorkflowEngine

REVIEW: dict[str, Any] = {
    "id": "审阅",
    "nodes": [
        {
            "id": "check",
            "type": "control",
            "subtype": "approval",
            "assignees": ["ann", "李雷"],
            "quorum": 2,
            "data": {"n": 1, "text": "${text}"},
            "form": {"type": "object", "properties": {"n": {"type": "integer"}}},
        }
    ],
    "outputs": {"n": "${check.data.n}", "by": "${check.by}"},
}
ENGINES = [WorkflowEngine.local, engine_of_the_api]
Opened = Callable[[], AbstractAsyncContextManager[WorkflowEngine]]


async def asked(engine: WorkflowEngine, text: str = "t") -> tuple[str, str]:
    """An execution, and what it asks."""
    execution_id = await engine.execute_workflow(await engine.create_workflow(REVIEW), {"text": text})
    for _ in range(6_000):
        if found := await engine.list_approvals(workflow="审阅"):
            return execution_id, str(found[0]["id"])
        await asyncio.sleep(0.01)
    raise AssertionError("nobody was asked")


@pytest.mark.parametrize("opened", ENGINES)
def test_people_are_listed_and_answer(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            execution_id, id = await asked(engine, "长" * 100_000)
            approval = await engine.get_approval(id)
            assert (approval["assignees"], approval["data"]["n"]) == (["ann", "李雷"], 1)
            said = await engine.approve(id, by="李雷", data={"n": 2}, comment="好")
            assert (said["by"], said["approved"], said["changed"]) == ("李雷", True, True)
            await engine.delegate_approval(id, "bob", by="ann", reason="holiday")
            await until(engine, id, ["bob", "李雷"])
            assert [item["id"] for item in await engine.list_approvals(assignee="bob")] == [id]
            assert await engine.list_approvals(assignee="ann") == []
            assert await engine.list_approvals(older_than="1h") == []
            await engine.approve(id, by="bob")
            document = await engine.wait(execution_id, 100)
            assert document["output"] == {"n": 2, "by": "bob"}
            assert [item["id"] for item in await engine.list_approvals(status="ended")] == [id]

    asyncio.run(use())


async def until(engine: WorkflowEngine, id: str, assignees: list[str]) -> None:
    for _ in range(6_000):
        if (await engine.get_approval(id))["assignees"] == assignees:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody else was asked")


@pytest.mark.parametrize("opened", ENGINES)
def test_what_cannot_be_answered_is_an_error_of_its_kind(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            execution_id, id = await asked(engine)
            with pytest.raises(NotFound):
                await engine.get_approval("ex-none.1")
            with pytest.raises(NotFound):
                await engine.approve("不", by="ann")
            with pytest.raises(NotAuthorized, match="eve is not among those who are asked"):
                await engine.approve(id, by="eve")
            with pytest.raises(NotAuthorized, match="nobody can tell who you are"):
                await engine.approve(id)
            with pytest.raises(EngineError, match="does not match the form: n: "):
                await engine.approve(id, by="ann", data={"n": "two"})
            with pytest.raises(EngineError, match="status"):
                await engine.list_approvals(status="all")
            with pytest.raises(EngineError, match="older_than"):
                await engine.list_approvals(older_than="soon")
            await engine.reject(id, by="ann", comment="no")
            await engine.wait(execution_id, 100)
            with pytest.raises(Conflict, match="it is too late: the approval was rejected by ann at"):
                await engine.approve(id, by="李雷")

    asyncio.run(use())


def test_the_engine_without_an_event_loop_does_the_same() -> None:
    with SyncWorkflowEngine.local() as engine:
        execution_id = engine.execute_workflow(engine.create_workflow({**REVIEW, "id": "sync"}), {"text": ""})
        while not (found := engine.list_approvals(workflow="sync")):
            pass
        id = str(found[0]["id"])
        assert engine.get_approval(id)["quorum"] == 2
        engine.delegate_approval(id, "bob", by="ann")
        engine.approve(id, by="李雷")
        engine.reject(id, by="bob", comment="no")
        assert engine.wait(execution_id, 100)["error"]["message"] == "bob rejected it: no"
