"""The tools of the workflow ``subscription_lifecycle``."""

from __future__ import annotations

from workflow_runtime.sdk import NodeContext, ToolError, tool


@tool(description="Charges one period to the customer's payment method")
async def charge_subscription(customer_id: str, amount: float, context: NodeContext) -> dict[str, str | float]:
    """Says what a payment provider would answer: the charge's number and amount.

    The example stops before a real provider; ``charge_id`` is what makes sure that a month is not charged twice.
    """
    if amount <= 0:
        raise ToolError("invalid_amount", f"{customer_id}: nothing to charge")
    context.logger.info("charge of %s to %s", amount, customer_id)
    return {"charge_id": context.idempotency_key, "amount": amount}
