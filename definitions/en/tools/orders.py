"""The tools of the workflow ``order_state_machine``."""

from __future__ import annotations

from workflow_runtime.sdk import NodeContext, ToolError, tool


@tool(description="Refunds a payment the way it came")
async def refund_payment(order_id: str, amount: float, method: str, context: NodeContext) -> dict[str, str | float]:
    """Says what a payment provider would answer: the refund's number, amount and way back.

    The example stops before a real provider; ``refund_id`` is what makes sure that nothing is refunded twice.
    """
    if amount <= 0:
        raise ToolError("invalid_amount", f"{order_id}: nothing to refund")
    context.logger.info("refund of %s for %s by %s", amount, order_id, method)
    return {"refund_id": context.idempotency_key, "amount": amount, "method": method}
