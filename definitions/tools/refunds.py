"""The tools of the agent ``refund_desk``. The example stops before real shops and payment systems."""

from __future__ import annotations

from typing import Any

from workflow_runtime.sdk import NodeContext, ToolError, tool

ORDERS: dict[str, dict[str, Any]] = {
    "A-1001": {"order": "A-1001", "item": "耳机", "price": 180, "days_ago": 5},
    "A-1002": {"order": "A-1002", "item": "咖啡机", "price": 860, "days_ago": 12},
    "A-1003": {"order": "A-1003", "item": "书", "price": 45, "days_ago": 90},
}


@tool(description="查一张订单：商品、价格、几天前购买", effects="none")
async def find_order(order: str) -> dict[str, Any]:
    """Returns {order, item, price, days_ago}."""
    if order not in ORDERS:
        raise ToolError("not_found", f"没有订单 {order}")
    return ORDERS[order]


@tool(description="退款规定", effects="none")
async def read_refund_policy() -> str:
    """Returns the text."""
    return "购买后 30 天内可以全额退款；超过 30 天不退款，可以转交投诉处理。"


@tool(description="把一笔钱退给顾客；每次调用都会退款", effects="once")
async def refund_order(order: str, amount: float, context: NodeContext) -> dict[str, Any]:
    """Returns {refund, amount}."""
    if order not in ORDERS or not 0 < amount <= ORDERS[order]["price"]:
        raise ToolError("refused", f"订单 {order} 不能退 {amount:g} 元")
    context.logger.info("%s is refunded", order)
    return {"refund": f"R-{order}", "amount": amount}


@tool(description="给顾客发一条短信", effects="idempotent")
async def tell_customer(customer: str, text: str, context: NodeContext) -> dict[str, str]:
    """Returns {message_id}."""
    context.logger.info("%s is told %d characters", customer, len(text))
    return {"message_id": context.idempotency_key}


@tool(description="把事情转交投诉处理", effects="idempotent")
async def open_complaint(order: str, reason: str, context: NodeContext) -> dict[str, str]:
    """Returns {complaint}."""
    context.logger.info("complaint about %s: %s", order, reason)
    return {"complaint": f"C-{order}"}
