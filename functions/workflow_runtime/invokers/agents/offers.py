"""The tools that an agent is offered: what its definition says of each, and what the registry knows of it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.tool_entries import AgentTool
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.language.expressions import Expression, compile_expression
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.plan.catalogue import Effects

_TAKEN_BY_PROVIDERS = re.compile(r"[A-Za-z0-9_-]{1,64}")  # names of functions, at every provider


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a model may call.

    - ``name``: by which it calls it; ``id``: of the tool
    - ``description``, ``schema``: what it is told of it; the schema of its arguments
    - ``effects``, ``on_unknown``: what a call does to the world, and what to do when it is not known whether one did
    - ``limit``: the most calls of one visit, if there is one
    - ``approve``: which calls somebody has to approve
    """

    name: str
    id: str
    description: str
    schema: dict[str, Any]
    effects: Effects
    on_unknown: str = "ask"
    limit: int | None = None
    approve: Expression | None = None


def offers_of(agent: AgentDefinition, registry: ToolRegistry) -> dict[str, Offer]:
    """What the agent is offered, by the names that models use. Raises `NodeError`: ``not_found``,
    ``validation_error``."""
    offers = [_offer(agent, entry, registry) for entry in agent.tools]
    return {offer.name: offer for offer in offers}


def _offer(agent: AgentDefinition, entry: AgentTool, registry: ToolRegistry) -> Offer:
    tool = registry.get(entry.id)
    if tool is None:
        text = with_hint(f"agent {agent.id!r}: there is no tool {entry.id!r}", entry.id, registry.ids)
        raise NodeError("not_found", text)
    try:
        schema, _ = for_model(tool.input_schema)
    except SchemaUnusable as error:
        raise NodeError("validation_error", f"agent {agent.id!r}: tool {entry.id!r}: {error}") from None
    name = name_for_model(entry.id)
    description = tool.description if name == entry.id else f"{entry.id}: {tool.description}"
    return Offer(
        name=name,
        id=entry.id,
        description=description,
        schema=schema,
        effects=entry.effects or tool.effects,
        on_unknown=entry.on_unknown or agent.on_unknown or "ask",
        limit=entry.limit,
        approve=compile_expression(entry.approve) if entry.approve is not None else None,
    )


def name_for_model(id: str) -> str:
    """An id as providers take it; those in other scripts get a name of their own, always the same."""
    if _TAKEN_BY_PROVIDERS.fullmatch(id):
        return id
    return f"tool_{hashlib.sha256(id.encode()).hexdigest()[:16]}"
