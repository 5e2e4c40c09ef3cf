"""The tools of the workflow ``travel_booking``. The example stops before real booking and payment systems."""

from __future__ import annotations

import hashlib
from typing import Literal

from workflow_runtime.sdk import NodeContext, ToolError, tool

Kind = Literal["flight", "hotel", "car"]

LIMIT = 3000
PRICES = {"flight": 1800, "hotel": 520, "car": 260}


@tool(description="Books a flight, a hotel or a car, priced by the day", effects="idempotent")
async def book_travel(
    kind: Kind, city: str, traveller: str, context: NodeContext, days: int = 1
) -> dict[str, str | int]:
    """Returns {booking, price}. The same visit of a node gets the same booking, however often it is attempted."""
    context.logger.info("%s to %s for %s", kind, city, traveller)
    number = hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:6].upper()
    return {"booking": f"{kind[0].upper()}-{number}", "price": PRICES[kind] * max(days, 1)}


@tool(description="Cancels a booking, fully refunded", effects="idempotent")
async def cancel_booking(booking: str, reason: str, context: NodeContext) -> dict[str, str]:
    """Returns {cancelled}. A booking that is cancelled already stays so."""
    context.logger.info("%s is cancelled: %s", booking, reason)
    return {"cancelled": booking}


@tool(description="Charges the travel card", effects="idempotent")
async def charge_card(card: str, amount: int, context: NodeContext) -> dict[str, str | int]:
    """Returns {payment, amount}; a card whose number ends in 0002 is declined."""
    if card.endswith("0002"):
        raise ToolError("declined", f"not enough credit for {amount}")
    return {"payment": context.idempotency_key, "amount": amount}


@tool(description="Charges the company's account", effects="idempotent")
async def charge_company(traveller: str, amount: int, context: NodeContext) -> dict[str, str | int]:
    """Returns {payment, amount}, up to a limit."""
    if amount > LIMIT:
        raise ToolError("declined", f"more than the company's limit of {LIMIT}")
    return {"payment": f"{traveller}/{context.idempotency_key}", "amount": amount}
