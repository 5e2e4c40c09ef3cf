"""Runs one attempt of a tool node."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.results import NotJson, to_json
from workflow_runtime.invokers.tools.threads import Threads
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.ports import Clock
from workflow_runtime.sdk import NodeContext

_logger = logging.getLogger("workflow_runtime.tools")


def _system_now() -> int:
    return time.time_ns() // 1_000_000


class ToolInvoker:
    """Runs tools: async ones on the event loop, sync ones in a daemon thread each. ``clock``: for `NodeContext`."""

    def __init__(self, registry: ToolRegistry, clock: Clock | None = None) -> None:
        self._registry = registry
        self._now = clock.now if clock else _system_now
        self._threads = Threads()

    @property
    def abandoned_threads(self) -> int:
        """Blocking tools that still run although their attempt was cancelled. A worker that has any should end its
        process once the attempt is recorded: a thread cannot be stopped."""
        return self._threads.abandoned

    async def invoke(self, call: NodeCall) -> NodeResult:
        """One attempt. Raises `NodeError`: ``not_found``, ``validation_error``, ``timeout``, what the tool raised,
        ``execution_error``."""
        tool = self._registry.get(call.target)
        if tool is None:
            hint = did_you_mean(call.target, self._registry.ids)
            raise NodeError("not_found", f"there is no tool {call.target!r}" + (f". {hint}" if hint else ""))
        arguments = tool.bind(call.inputs, self._context(call) if tool.context else None)
        try:
            if tool.is_async:
                result: Any = await tool.function(**arguments)
            else:
                result = await self._threads.run(partial(tool.function, **arguments), f"tool {tool.id}")
        except NodeError:
            raise
        except TimeoutError as error:
            raise NodeError("timeout", f"tool {tool.id!r}: {error or 'timed out'}") from error
        except Exception as error:
            raise NodeError("execution_error", f"tool {tool.id!r}: {type(error).__name__}: {error}") from error
        try:
            return NodeResult(to_json(result))
        except NotJson as error:
            raise NodeError("validation_error", f"tool {tool.id!r} returned no JSON: {error}") from None

    def _context(self, call: NodeCall) -> NodeContext:
        place = {"execution_id": call.execution_id, "workflow_id": call.workflow_id, "node": call.path}
        return NodeContext(
            execution_id=call.execution_id,
            workflow_id=call.workflow_id,
            path=call.path,
            attempt=call.attempt,
            idempotency_key=call.idempotency_key,
            deadline=call.deadline,
            logger=logging.LoggerAdapter(_logger, place),
            now=self._now,
            hops=call.hops,
            correlation_id=call.correlation_id,
        )
