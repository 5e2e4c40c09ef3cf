"""`publish_event`: one event on the runtime's event bus, or on another one, once the call is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, Field

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.committing import Committed
from workflow_runtime.invokers.invocation import ORIGIN_KEY, origin
from workflow_runtime.invokers.tools.builtin.effect_ids import effect_id
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.plan.events import TOPIC_CHARACTERS_MAX
from workflow_runtime.ports import BusMessage
from workflow_runtime.ports.effect_checks import SOURCE_CHARACTERS_MAX, check_event
from workflow_runtime.sdk import NodeContext, tool

SOURCE = "workflow"
RESERVED_SOURCES = ("aws.", "workflow-runtime")  # AWS's own, and the lifecycle events'


class Published(BaseModel):
    topic: str
    source: str
    id: str


def publish_event_function(reach: Reach) -> Callable[..., Any]:
    @tool(
        description="Publishes an event with detail-type `topic` and detail `payload`; returns {topic, source, id}.",
    )
    async def publish_event(
        topic: Annotated[str, Field(min_length=1, max_length=TOPIC_CHARACTERS_MAX)],
        payload: dict[str, Any],
        context: NodeContext,
        source: Annotated[str, Field(min_length=1, max_length=SOURCE_CHARACTERS_MAX)] = SOURCE,
        bus: str | None = None,
    ) -> Committed[Published]:
        if source.startswith(RESERVED_SOURCES):
            raise NodeError("validation_error", f"`source` may not begin with {' or '.join(RESERVED_SOURCES)}")
        if bus is not None:
            reach.check("buses", "publish_event", "the bus", bus)
        id = effect_id(context)
        mark = origin(context.execution_id, context.workflow_id, context.hops + 1, context.correlation_id)
        detail = msgspec.json.encode({**payload, ORIGIN_KEY: {**mark[ORIGIN_KEY], "id": id}}).decode()
        event = BusMessage(id=id, source=source, topic=topic, detail=detail, bus=bus or "")
        check_event(event)
        return Committed(Published(topic=topic, source=source, id=id), event)

    return publish_event
