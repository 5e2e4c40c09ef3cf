"""The tools of the workflow ``publish_document``. The example stops before a real website."""

from __future__ import annotations

import hashlib

from workflow_runtime.sdk import NodeContext, ToolError, tool

LENGTH_MAX = 20_000


@tool(description="Put a document online", effects="idempotent")
async def put_document_online(title: str, text: str, context: NodeContext) -> dict[str, str]:
    """Returns {address}. The same visit of a node gets the same address, however often it is attempted."""
    if len(text) > LENGTH_MAX:
        raise ToolError("too_long", f"the document has more than {LENGTH_MAX} characters")
    context.logger.info("%s goes online", title)
    number = hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:8]
    return {"address": f"https://example.com/documents/{number}"}


@tool(description="Take a document down", effects="idempotent")
async def take_document_down(address: str, reason: str, context: NodeContext) -> dict[str, str]:
    """Returns {address}. A document that is down already stays so."""
    context.logger.info("%s is taken down: %s", address, reason)
    return {"address": address}


@tool(description="Tell the subscribers of a new document", effects="idempotent")
async def announce_document(title: str, address: str, context: NodeContext) -> dict[str, int]:
    """Returns {told}: how many were told."""
    context.logger.info("%s is announced: %s", title, address)
    return {"told": 0}
