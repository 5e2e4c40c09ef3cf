"""Quotas and rates by the SDK."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from workflow_runtime import ResourceQuota, SyncWorkflowEngine, WorkflowEngine
from workflow_runtime.frontends.client import EngineError, InvalidInput, NotFound

WORKFLOW = {"id": "w", "nodes": [{"id": "a", "type": "tool", "tool": "echo", "inputs": {"x": 1}}]}


def test_quotas_and_rates_are_in_force_from_the_next_call_on() -> None:
    async def work() -> None:
        quota = ResourceQuota(max_concurrent_tasks=9, max_tasks_per_type={"tool": 3}, max_tasks_per_agent={"gpt-4": 1})
        async with WorkflowEngine.local(quota=quota) as engine:
            engine.scheduler.set_rate_limiter("openai", rate=60, interval=timedelta(minutes=1))
            allowed = {one.pop("name"): one for one in await engine.list_limits()}
            assert allowed == {
                "*": {"source": "set", "concurrency": 9},
                "type:tool": {"source": "set", "concurrency": 3},
                "agent:gpt-4": {"source": "set", "concurrency": 1},
                "openai": {"source": "set", "requests": "60/min"},
            }
            await engine.create_workflow(WORKFLOW)
            execution = await engine.execute_workflow("w", wait=100)
            assert (await engine.get_execution_status(execution))["status"] == "completed"
            (gauge,) = (await engine.get_limit("type:tool"))["gauges"]
            assert (gauge["held"], gauge["waiting"]) == (0, 0)

    asyncio.run(work())


def test_a_rate_and_a_quota_leave_what_else_a_limiter_allows() -> None:
    with SyncWorkflowEngine.local() as engine:
        engine.set_limit("openai", concurrency=20, tokens="200k/min", key="${tenant}", requests="1/s")
        engine.scheduler.set_rate_limiter("openai", rate=60)
        engine.scheduler.set_quota(ResourceQuota(max_tasks_per_agent={"gpt-4": 3}))
        allowed = {one.pop("name"): one for one in engine.list_limits()}
        openai = {"requests": "60/min", "tokens": "200000/min", "concurrency": 20, "key": "${tenant}"}
        assert allowed == {"openai": {"source": "set", **openai}, "agent:gpt-4": {"source": "set", "concurrency": 3}}


def test_a_paused_limiter_holds_nodes_until_it_is_resumed() -> None:
    async def work() -> None:
        async with WorkflowEngine.local() as engine:
            await engine.create_workflow(WORKFLOW)
            await engine.set_limit("type:tool", concurrency=1)
            await engine.set_limit("type:tool", paused=True)
            execution = await engine.execute_workflow("w")
            waiting_on = None
            while waiting_on != "limiter":
                await asyncio.sleep(0.01)
                (node,) = (await engine.get_execution_status(execution))["node_executions"].values()
                waiting_on = node["waiting_on"]
            assert node["status"] == "ready"
            await engine.set_limit("type:tool", paused=False)
            assert (await engine.wait(execution, 100))["status"] == "completed"

    asyncio.run(work())


def test_what_makes_no_sense_is_refused() -> None:
    with SyncWorkflowEngine.local() as engine:
        with pytest.raises(ValueError, match="at least one"):
            engine.scheduler.set_rate_limiter("openai", rate=0)
        with pytest.raises(ValueError, match="whole number"):
            engine.scheduler.set_rate_limiter("openai", rate=1.5)  # type: ignore[arg-type]
        engine.scheduler.set_rate_limiter("a b", rate=1)
        with pytest.raises(InvalidInput, match="nothing can name a limiter"):
            engine.list_limits()
        assert engine.list_limits() == [], "what was refused is not tried again"
        with pytest.raises(NotFound):
            engine.get_limit("nobody")
        with pytest.raises(EngineError, match="`5` is not a rate"):
            engine.set_limit("openai", requests="5")
        assert engine.set_limit("openai", concurrency=2)["concurrency"] == 2
        engine.delete_limit("openai")
        assert engine.list_limits() == []
