"""What people see of a budget: how much may be used, is used, and is reserved of that."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import MICROS, Budget
from workflow_runtime.ports import Attribute
from workflow_runtime.services.limits import accounts
from workflow_runtime.services.limits.accounts import Amount


def budget_json(budget: Budget, balance: Mapping[str, Attribute]) -> dict[str, Json]:
    """Of an account. ``usd``, ``tokens``: None if they are not limited."""
    return amounts_json(accounts.cap(budget, balance), accounts.used(balance), accounts.reserved(balance))


def amounts_json(cap: Amount, used: Amount, reserved: Amount) -> dict[str, Json]:
    usd = {name: one.micros / MICROS for name, one in _named(cap, used, reserved)}
    tokens = {name: one.tokens for name, one in _named(cap, used, reserved)}
    return {"usd": usd if cap.micros else None, "tokens": tokens if cap.tokens else None}


def _named(cap: Amount, used: Amount, reserved: Amount) -> tuple[tuple[str, Amount], ...]:
    return ("limit", cap), ("used", used), ("reserved", reserved)
