"""Runs one attempt of a tool node."""

from __future__ import annotations

import decimal
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.committing import Committed, ToCommit
from workflow_runtime.invokers.containment import Outcome, node_failure
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools.loops import AuthorLoops
from workflow_runtime.invokers.tools.mcp.remote import RemoteTool
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.threads import Threads
from workflow_runtime.invokers.tools.tool import Tool
from workflow_runtime.language.json_values import Json, NotJson, no_json, to_json
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.plan.limiters import Budget
from workflow_runtime.ports import Clock
from workflow_runtime.sdk import NodeContext, Pending

TOOLS_LOGGER = logging.getLogger("workflow_runtime.tools")  # where authors' lines go


def _system_now() -> int:
    return time.time_ns() // 1_000_000


class BlockingRunner(Protocol):
    """Runs authors' blocking tools elsewhere; as `processes.Processes`."""

    async def run(self, call: NodeCall, context: NodeContext) -> Outcome[NodeResult]: ...

    def renew(self) -> None: ...


class ToolInvoker:
    """Runs tools: authors' async ones in an event loop of their own, sync ones in ``processes`` or, without, in a
    daemon thread each, built-in async ones where it is called. ``clock``: for `NodeContext`.
    """

    def __init__(
        self, registry: ToolRegistry, clock: Clock | None = None, processes: BlockingRunner | None = None
    ) -> None:
        self._registry = registry
        self._processes = processes
        self._now = clock.now if clock else _system_now
        self._threads = Threads()
        self._loops = AuthorLoops()

    @property
    def abandoned(self) -> int:
        """Tools that still run although their attempt was cancelled: blocking ones, and async ones that do not stop. A
        worker that has any should end its process once the attempt is recorded."""
        return self._threads.abandoned + self._loops.abandoned

    def budget(self, target: str) -> Budget | None:  # noqa: ARG002
        """Tools ask no models."""
        return None

    def beyond(self, target: str) -> Beyond:  # noqa: ARG002
        return NOTHING_BEYOND

    def limiters(self, target: str) -> Sequence[str]:  # noqa: ARG002  all tools alike
        return ()

    async def invoke(self, call: NodeCall) -> NodeResult:
        """One attempt. Raises `NodeError`: ``not_found``, ``validation_error``, ``timeout``, what the tool raised,
        ``execution_error``."""
        tool = self._registry.get(call.target)
        if tool is None:
            text = with_hint(f"there is no tool {call.target!r}", call.target, self._registry.ids)
            raise NodeError("not_found", text)
        outcome = await self._outcome(tool, call)
        if outcome.error is None:
            return outcome.result()
        failure = node_failure(outcome.error, f"tool {tool.id!r}")
        raise failure from (None if failure is outcome.error else outcome.error)

    async def _outcome(self, tool: Tool, call: NodeCall) -> Outcome[NodeResult]:
        if isinstance(tool, RemoteTool):
            try:
                return Outcome(await tool.call(call))
            except Exception as error:
                return Outcome(error=error)
        if self._processes is not None and not tool.is_async and not tool.built_in:
            return await self._processes.run(call, self._context(call))
        context = self._context(call) if tool.context is not None else None
        if not tool.is_async:
            work = partial(called, tool, call.inputs, context)
            return await self._threads.run(work, f"tool {tool.id}", call.late.came)
        awaited = _awaited(tool, call, context)
        if not tool.built_in:
            return await self._loops.run(awaited, f"tool {tool.id!r}", call.late.came)
        try:  # our own code: it ends when it is cancelled, and raises nothing but errors
            return Outcome(await awaited)
        except Exception as error:
            return Outcome(error=error)

    def _context(self, call: NodeCall) -> NodeContext:
        place = {"execution_id": call.execution_id, "workflow_id": call.workflow_id, "node": call.path}
        return NodeContext(
            execution_id=call.execution_id,
            workflow_id=call.workflow_id,
            path=call.path,
            attempt=call.attempt,
            idempotency_key=call.idempotency_key,
            deadline=call.deadline,
            logger=logging.LoggerAdapter(TOOLS_LOGGER, place),
            now=self._now,
            hops=call.hops,
            correlation_id=call.correlation_id,
            limit_fences=call.limit_fences,
            is_stopped=lambda: call.stop.requested,
            make_token=call.make_token,
        )


# Both run all that may be the author's code: the checks of arguments, the function, the form of its result.


def called(tool: Tool, inputs: dict[str, Json], context: NodeContext | None) -> NodeResult:
    """What a blocking tool returns. Raises whatever it raises."""
    return _result(tool, tool.function(**tool.bind(inputs, context)), context)


async def _awaited(tool: Tool, call: NodeCall, context: NodeContext | None) -> NodeResult:
    value = await tool.function(**tool.bind(call.inputs, context))
    if isinstance(value, Committed) and tool.commits:
        effect = value.effect
        said = msgspec.to_builtins(effect)
        to_commit = ToCommit(effect, bool(call.mask) and call.mask.value(said) != said)
        return replace(_result(tool, value.output, context), to_commit=to_commit)
    return _result(tool, value, context)


def _result(tool: Tool, value: Any, context: NodeContext | None) -> NodeResult:
    warnings = tuple(context.warnings) if context is not None else ()
    if isinstance(value, Pending):
        return NodeResult(None, warnings, value)
    try:
        return NodeResult(result_json(value), warnings=warnings)
    except NotJson as error:
        raise NodeError("validation_error", f"tool {tool.id!r} did not return JSON: {error}") from None


def result_json(value: Any) -> Json:
    """``value`` as JSON. Raises `NotJson`."""
    return to_json(value, convert=_of_model)


def _of_model(value: Any) -> Json:
    if not isinstance(value, BaseModel):
        raise no_json(value)
    return _with_numbers(value.model_dump(by_alias=True), value.model_dump(mode="json", by_alias=True))


def _with_numbers(plain: Any, dumped: Any) -> Any:
    """``dumped`` with decimals as they are elsewhere, numbers; unless the model itself writes them in another way.

    ``plain`` is the same dump in Python's types: a decimal there is a text in ``dumped``.
    """
    match plain, dumped:
        case decimal.Decimal(), str() if dumped == str(plain):
            return plain
        case dict(), dict() if len(plain) == len(dumped):  # keys may be written in another way, too
            pairs = zip(plain.values(), dumped.items(), strict=True)
            return {key: _with_numbers(item, shown) for item, (key, shown) in pairs}
        case ((list() | tuple()), list()):
            return [_with_numbers(item, shown) for item, shown in zip(plain, dumped, strict=True)]
    return dumped
