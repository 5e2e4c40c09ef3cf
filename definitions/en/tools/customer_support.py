"""The tool of the workflow ``customer_support``."""

from __future__ import annotations

from typing import Literal

from workflow_runtime.sdk import NodeContext, ToolError, tool


@tool(
    description="Lays out a drafted reply as the message to send; one that is not compliant is held for a person",
    effects="none",
)
async def send_response(
    text: str,
    context: NodeContext,
    customer_name: str = "customer",
    channel: Literal["email", "chat"] = "chat",
    compliant: bool = True,
    sentiment: Literal["positive", "neutral", "negative"] = "neutral",
) -> dict[str, str]:
    """Renders the message and says what became of it: ``sent``, or ``held`` for a person when it is not compliant.

    The example stops before a real channel; ``message_id`` is what one would use to send nothing twice.
    """
    if not text.strip():
        raise ToolError("empty_reply", "the reply is empty")
    greeting = f"Dear {customer_name}," if channel == "email" else f"Hello {customer_name},"
    closing = "\n\nWe apologize for the trouble and will see this through." if sentiment == "negative" else ""
    status = "sent" if compliant else "held"
    context.logger.info("reply %s by %s", status, channel)
    return {
        "message_id": context.idempotency_key,
        "status": status,
        "channel": channel,
        "message": f"{greeting}\n\n{text.strip()}{closing}\n\nCustomer support",
    }
