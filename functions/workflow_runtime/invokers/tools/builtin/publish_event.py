"""`publish_event`: one event on the runtime's event bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from workflow_runtime.errors import NodeError, RetryableError
from workflow_runtime.invokers.invocation import origin
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.ports import BUS_ENTRY_BYTES_MAX, TOPIC_CHARACTERS_MAX, BusEvent
from workflow_runtime.sdk import NodeContext, tool

SOURCE = "workflow"
RESERVED_SOURCES = ("aws.", "workflow-runtime")  # AWS's own, and the lifecycle events'
SOURCE_CHARACTERS_MAX = 256  # EventBridge: Source


def publish_event_function(services: ToolServices) -> Callable[..., Any]:
    @tool(description="Publishes an event with detail-type `topic` and detail `payload`; returns {topic, source}.")
    async def publish_event(
        topic: str, payload: dict[str, Any], context: NodeContext, source: str = SOURCE
    ) -> dict[str, str]:
        if services.bus is None:
            raise NodeError("not_allowed", "the tool 'publish_event' is off here: this runtime has no event bus")
        if not 0 < len(topic) <= TOPIC_CHARACTERS_MAX:
            raise NodeError("validation_error", f"`topic` must have 1 to {TOPIC_CHARACTERS_MAX} characters")
        if not 0 < len(source) <= SOURCE_CHARACTERS_MAX or source.startswith(RESERVED_SOURCES):
            raise NodeError(
                "validation_error",
                f"`source` must have 1 to {SOURCE_CHARACTERS_MAX} characters and not be a reserved one",
            )
        marked = {
            **payload,
            **origin(context.execution_id, context.workflow_id, context.hops + 1, context.correlation_id),
        }
        detail = msgspec.json.encode(marked).decode()
        if len(detail.encode()) + len(topic.encode()) + len(source.encode()) > BUS_ENTRY_BYTES_MAX:
            raise NodeError("validation_error", f"the event is larger than {BUS_ENTRY_BYTES_MAX} bytes")
        try:
            refusals = await services.offload(services.bus.publish, [BusEvent(source, topic, detail)])
        except RetryableError as error:
            raise NodeError("execution_error", f"the event bus did not answer: {error}") from error
        if refusals:
            raise NodeError("execution_error", f"the event bus refused the event: {refusals[0].reason}")
        return {"topic": topic, "source": source}

    return publish_event
