"""What model requests have used: as an attempt reports it (`Meter.usage`), and sums of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workflow_runtime.language.json_values import Json

COUNTS = ("input_tokens", "output_tokens", "requests")
USD = "usd"

Usage = Mapping[str, Json]
"""``{model, input_tokens, output_tokens, requests}``, as far as known, and ``usd``, if somebody knows prices."""


def total(usages: Iterable[Usage | None]) -> dict[str, Json] | None:
    """The sum of what there is; None: nothing. ``model`` is the first one's. ``usd`` is of what has a price."""
    found = [usage for usage in usages if usage]
    if not found:
        return None
    summed: dict[str, Json] = {"model": found[0].get("model")}
    summed |= {name: sum(int(usage.get(name) or 0) for usage in found) for name in COUNTS}
    prices = [float(usage[USD]) for usage in found if usage.get(USD) is not None]
    return {**summed, USD: sum(prices)} if prices else summed
