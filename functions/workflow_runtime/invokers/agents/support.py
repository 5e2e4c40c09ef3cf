"""What definitions of agents may say, and this runtime does not act on yet: agents that say it are refused."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.references import Place, guardrails_of


def not_in_force(agent: AgentDefinition) -> Iterator[Place]:
    """The places in ``agent`` of fields that it uses and that do nothing yet."""
    for place, guardrail in guardrails_of(agent):
        if guardrail.on_fail == "human" and "tools" not in place:
            yield *place, "on_fail"
