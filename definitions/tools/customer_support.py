"""The tool of the workflow ``customer_support``."""

from __future__ import annotations

from typing import Literal

from workflow_runtime.sdk import NodeContext, ToolError, tool


@tool(description="把拟好的回复排成要发出的消息；不合规的留给人工", effects="none")
async def send_response(
    text: str,
    context: NodeContext,
    customer_name: str = "客户",
    channel: Literal["email", "chat"] = "chat",
    compliant: bool = True,
    sentiment: Literal["positive", "neutral", "negative"] = "neutral",
) -> dict[str, str]:
    """Renders the message and says what became of it: ``sent``, or ``held`` for a person when it is not compliant.

    The example stops before a real channel; ``message_id`` is what one would use to send nothing twice.
    """
    if not text.strip():
        raise ToolError("empty_reply", "the reply is empty")
    greeting = f"尊敬的{customer_name}：" if channel == "email" else f"{customer_name}，您好："
    closing = "\n\n给您添麻烦了，我们会跟进到底。" if sentiment == "negative" else ""
    status = "sent" if compliant else "held"
    context.logger.info("reply %s by %s", status, channel)
    return {
        "message_id": context.idempotency_key,
        "status": status,
        "channel": channel,
        "message": f"{greeting}\n\n{text.strip()}{closing}\n\n客服中心",
    }
