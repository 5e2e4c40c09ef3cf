"""The tools of the agent ``refund_desk``. The example stops before real shops and payment systems."""

from __future__ import annotations

from typing import Any

from workflow_runtime.sdk import NodeContext, ToolError, tool

ORDERS: dict[str, dict[str, Any]] = {
    "A-1001": {"order": "A-1001", "item": "headphones", "price": 180, "days_ago": 5},
    "A-1002": {"order": "A-1002", "item": "coffee machine", "price": 860, "days_ago": 12},
    "A-1003": {"order": "A-1003", "item": "book", "price": 45, "days_ago": 90},
}


@tool(description="Looks up an order: item, price, and how many days ago it was bought", effects="none")
async def find_order(order: str) -> dict[str, Any]:
    """Returns {order, item, price, days_ago}."""
    if order not in ORDERS:
        raise ToolError("not_found", f"there is no order {order}")
    return ORDERS[order]


@tool(description="The refund policy", effects="none")
async def read_refund_policy() -> str:
    """Returns the text."""
    return "Refunds in full within 30 days of the purchase; later none, but complaints may take over."


@tool(description="Refunds money to the customer, with every call", effects="once")
async def refund_order(order: str, amount: float, context: NodeContext) -> dict[str, Any]:
    """Returns {refund, amount}."""
    if order not in ORDERS or not 0 < amount <= ORDERS[order]["price"]:
        raise ToolError("refused", f"{amount:g} cannot be refunded for the order {order}")
    context.logger.info("%s is refunded", order)
    return {"refund": f"R-{order}", "amount": amount}


@tool(description="Sends the customer a text message", effects="idempotent")
async def tell_customer(customer: str, text: str, context: NodeContext) -> dict[str, str]:
    """Returns {message_id}."""
    context.logger.info("%s is told %d characters", customer, len(text))
    return {"message_id": context.idempotency_key}


@tool(description="Hands the matter over to complaints", effects="idempotent")
async def open_complaint(order: str, reason: str, context: NodeContext) -> dict[str, str]:
    """Returns {complaint}."""
    context.logger.info("complaint about %s: %s", order, reason)
    return {"complaint": f"C-{order}"}
