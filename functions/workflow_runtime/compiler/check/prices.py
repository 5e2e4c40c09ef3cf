"""What a request of an agent's models may cost, where a budget counts dollars, by the list of prices of
`genai-prices <https://github.com/pydantic/genai-prices>`_."""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime.plan.catalogue import CatalogueEntry
from workflow_runtime.plan.limiters import MICROS

FREE = "test"  # pydantic-ai's own model, which asks nobody


def prices_of_requests(
    agent: CatalogueEntry, models: Iterable[str], input_tokens: int, output_tokens: int
) -> list[int | None]:
    """Micro-dollars for a request of so many tokens, of each of these models of the agent; None: nobody knows. Without
    the list of prices, nothing is said of any."""
    try:
        from genai_prices import Usage, calc_price  # few workflows have a budget, and it takes its time to import
    except ImportError:
        return []
    found: list[int | None] = []
    for model in models:
        provider, _, name = model.partition(":")
        try:
            if model in agent.models_elsewhere:  # the name says nothing: whoever has that server makes its prices
                raise LookupError
            usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
            price = calc_price(usage, name, provider_id=provider).total_price
            found.append(int(price * MICROS))
        except LookupError:
            found.append(0 if model == FREE else None)
    return found
