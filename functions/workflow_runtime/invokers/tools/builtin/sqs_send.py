"""`sqs_send`: one message to a queue of SQS, once the call is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, Field

from workflow_runtime.invokers.committing import Committed
from workflow_runtime.invokers.tools.builtin.effect_ids import effect_id
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.ports import QueueMessage
from workflow_runtime.ports.effect_checks import (
    ATTRIBUTES_MAX,
    DELAY_SECONDS_MAX,
    MESSAGE_GROUP,
    QUEUE_NAME,
    check_message,
)
from workflow_runtime.ports.effects import ID_ATTRIBUTE
from workflow_runtime.sdk import NodeContext, ToolError, tool

Text = Annotated[str, Field(min_length=1)]


class Sent(BaseModel):
    queue: str
    id: str


def sqs_send_function(reach: Reach) -> Callable[..., Any]:
    @tool(
        description="Sends a message to an SQS queue; a `body` that is not text is sent as JSON. Returns {queue, id}.",
    )
    async def sqs_send(
        queue: Annotated[str, Field(pattern=QUEUE_NAME)],
        body: Any,
        context: NodeContext,
        group: Annotated[str, Field(pattern=MESSAGE_GROUP)] | None = None,
        delay: Annotated[int, Field(ge=0, le=DELAY_SECONDS_MAX)] = 0,
        attributes: Annotated[dict[str, Text], Field(max_length=ATTRIBUTES_MAX)] | None = None,
    ) -> Committed[Sent]:
        reach.check("queues", "sqs_send", "the queue", queue)
        if ID_ATTRIBUTE in (attributes or {}):
            raise ToolError(
                "validation_error", f"the attribute {ID_ATTRIBUTE!r} is the message's id, which is set anyway"
            )
        id = effect_id(context)
        text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        message = QueueMessage(
            id=id, queue=queue, body=text, group=group, delay_seconds=delay, attributes=attributes or {}
        )
        check_message(message)
        return Committed(Sent(queue=queue, id=id), message)

    return sqs_send
