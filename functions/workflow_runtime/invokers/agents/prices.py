"""Models of which nobody knows a price, where a budget counts dollars: each of their requests would be refused."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.model_choices import OPENAI, ModelChoice


def without_price(agent: AgentDefinition) -> Iterator[int]:
    """The numbers of the agent's models that its budget would refuse. Without the list of prices, nobody knows."""
    budget = agent.visit_budget
    if budget is None or not budget.micros or budget.tokens_suffice:
        return
    for number, choice in enumerate(agent.choices):
        if choice.model != "test" and not _has_price(choice):
            yield number


def _has_price(choice: ModelChoice) -> bool:
    try:
        from genai_prices import Usage, calc_price  # few agents have a budget, and it takes its time to import
    except ImportError:
        return True
    try:
        calc_price(Usage(input_tokens=1, output_tokens=1), choice.name, provider_id=_provider(choice))
    except LookupError:
        return False
    return True


def _provider(choice: ModelChoice) -> str:
    """As the model that is built calls it: a server of one's own is nobody whose prices are known."""
    if choice.base_url is not None and choice.provider in OPENAI:
        return urlsplit(choice.base_url).netloc
    return choice.provider
