"""Calls of tools, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools import Reach, ToolInvoker, ToolRegistry, ToolServices
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Cancellable

NOW = 1_000_000

Result = TypeVar("Result")


class FixedClock:
    def now(self) -> int:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"no tool sleeps ({seconds} s)")

    async def within(self, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        raise AssertionError(f"no tool asks for {work} within {seconds} s")

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> Cancellable:
        raise AssertionError(f"no tool has {work} done in {seconds} s")

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()


def node_call(target: str, inputs: dict[str, Any], remaining_seconds: float = 60) -> NodeCall:
    return NodeCall(
        type=NodeType.TOOL,
        target=target,
        inputs=inputs,
        execution_id="e1",
        workflow_id="w",
        path="节点",
        attempt=1,
        idempotency_key="e1:节点:1",
        deadline=NOW + int(remaining_seconds * 1000),
    )


def call_tool(
    target: str,
    inputs: dict[str, Any],
    *,
    reach: Reach | None = None,
    services: ToolServices | None = None,
    registry: ToolRegistry | None = None,
) -> NodeResult:
    found = registry or ToolRegistry.load(None, reach=reach or Reach(), services=services)
    return asyncio.run(ToolInvoker(found, FixedClock()).invoke(node_call(target, inputs)))


def run_tool(target: str, inputs: dict[str, Any], **options: Any) -> Any:
    """What the tool returns; see `call_tool`."""
    return call_tool(target, inputs, **options).output


def failure(target: str, inputs: dict[str, Any], **options: Any) -> NodeError:
    try:
        result = run_tool(target, inputs, **options)
    except NodeError as error:
        return error
    raise AssertionError(f"did not fail: {result!r}")
