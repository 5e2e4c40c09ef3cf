"""What definitions of agents may say, and this runtime does not act on yet: agents that say it are refused."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from workflow_runtime.invokers.agents.definition import AgentDefinition

NOT_IN_FORCE: tuple[tuple[str, ...], ...] = (
    ("tools",),
    ("on_unknown",),
    ("limits", "usd"),
    ("limits", "tool_calls"),
    ("limits", "turns_without_progress"),
)


def not_in_force(agent: AgentDefinition) -> Iterator[tuple[str, ...]]:
    """The places in ``agent`` of fields that it uses and that do nothing yet."""
    return (place for place in NOT_IN_FORCE if _says(agent, place))


def _says(model: BaseModel, place: tuple[str, ...]) -> bool:
    name, *rest = place
    value = getattr(model, name)
    if rest:
        return _says(value, tuple(rest))
    return name in model.model_fields_set and value != type(model).model_fields[name].get_default()
