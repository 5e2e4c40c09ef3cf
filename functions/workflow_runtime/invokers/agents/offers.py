"""The tools that an agent is offered: what its definition says of each, and what the registry knows of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.registry import AgentRegistry
from workflow_runtime.invokers.agents.tool_entries import NO_SECOND_CALL, AgentTool, CallApproval
from workflow_runtime.invokers.tools.mcp.servers import UNPINNED
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.language.expressions import Expression, compile_expression
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable, validator_of
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.plan.catalogue import Effects
from workflow_runtime.plan.policies import CallTerms

_TAKEN_BY_PROVIDERS = re.compile(r"[A-Za-z0-9_-]{1,64}")  # names of functions, at every provider


SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"prompt": {"type": "string", "description": "What it is asked, with all that it has to know."}},
    "required": ["prompt"],
    "additionalProperties": False,
}
"""Of the arguments of a call of another agent."""

UNSAID = CallApproval.model_validate({})
"""By which rules calls are approved of which their agent says nothing."""

Workflows = Callable[[str], Awaitable[Json]]
"""Gives the schema of a workflow's input."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a model may call.

    - ``name``: by which it calls it; ``kind``: a tool, a workflow or an agent; ``id``: of that
    - ``description``, ``schema``: what it is told of it; the schema of its arguments
    - ``arguments``: their schema as the tool itself has it; None: only its call can tell whether they fit
    - ``as_node``: whether a call is a node of its own; ``terms``: how that is run
    - ``effects``, ``on_unknown``: what a call does to the world, and what to do when it is not known whether one did
    - ``commits``: a call happens in the transaction that records it
    - ``limit``: the most calls of one visit, if there is one
    - ``approve``: which calls somebody has to approve; ``approval``: who may, and by which rules
    """

    name: str
    kind: str
    id: str
    description: str
    schema: dict[str, Any]
    effects: Effects
    commits: bool = False
    arguments: Json = None
    as_node: bool = False
    terms: CallTerms | None = None
    on_unknown: str = "ask"
    limit: int | None = None
    approve: Expression | None = None
    approval: CallApproval = UNSAID


TOOL, WORKFLOW, AGENT = "tool", "workflow", "agent"
"""Kinds of offers."""


async def offers_of(
    agent: AgentDefinition, tools: ToolRegistry, called: Mapping[str, Json], workflows: Workflows
) -> dict[str, Offer]:
    """What the agent is offered, by the names that models use. ``called``: `descriptions_of_called`, as they were when
    the visit began. Raises `NodeError`: ``not_found``, ``validation_error``."""
    offers = [
        await _offer(agent, entry, id, tools, called, workflows)
        for entry in agent.tools
        for id in _ids(agent, entry, tools)
    ]
    return {offer.name: offer for offer in offers}


def _ids(agent: AgentDefinition, entry: AgentTool, tools: ToolRegistry) -> Iterator[str]:
    """What an entry stands for: of an MCP server, the tools that are pinned, as far as they are allowed."""
    if entry.kind != "mcp":
        yield entry.id
        return
    pinned = tools.of_server(entry.id)
    if pinned is None:
        text = f"agent {agent.id!r}: nothing is pinned of the MCP server {entry.id!r}: awr tools pull {entry.id}"
        raise NodeError("not_found", text)
    names = {tool.pinned.name: id for id, tool in pinned.items()}
    for name in entry.allow if entry.allow is not None else names:
        if name not in names:
            text = f"agent {agent.id!r}: the MCP server {entry.id!r} has no tool {name!r}"
            raise NodeError("not_found", with_hint(text, name, names))
        yield names[name] if entry.pin else f"{names[name]}{UNPINNED}"


async def _offer(
    agent: AgentDefinition,
    entry: AgentTool,
    id: str,
    tools: ToolRegistry,
    called: Mapping[str, Json],
    workflows: Workflows,
) -> Offer:
    effects, commits = Effects.NONE, False
    match entry.kind:
        case "workflow_id":
            kind, description, schema = WORKFLOW, "Runs a workflow.", await workflows(id)
        case "agent":
            kind, description, schema = AGENT, str(called[id]), SCHEMA
        case _:
            tool = tools.get(id)
            if tool is None:
                text = with_hint(f"agent {agent.id!r}: there is no tool {id!r}", id, tools.ids)
                raise NodeError("not_found", text)
            kind, description, schema = TOOL, tool.description, tool.input_schema
            effects, commits = entry.effects or tool.effects, tool.commits
    if effects is Effects.ONCE and entry.retry_policy:
        raise NodeError("validation_error", f"agent {agent.id!r}: tool {id!r}: {NO_SECOND_CALL}")
    try:
        written, _ = for_model(schema)
    except SchemaUnusable as error:
        raise NodeError("validation_error", f"agent {agent.id!r}: {kind} {id!r}: {error}") from None
    known = id.removesuffix(UNPINNED)
    name = name_for_model(known)
    return Offer(
        name=name,
        kind=kind,
        id=id,
        description=description if name == known else f"{id}: {description}",
        schema=written,
        effects=effects,
        commits=commits,
        arguments=_checkable(schema),
        as_node=entry.as_ == "node" and kind != WORKFLOW,
        terms=entry.terms,
        on_unknown=entry.on_unknown or agent.on_unknown or "ask",
        limit=entry.limit,
        approve=compile_expression(entry.approve.when) if entry.approve is not None else None,
        approval=entry.approve or UNSAID,
    )


def _checkable(schema: Json) -> Json:
    """The schema, if arguments can be held to it before the call."""
    try:
        validator_of(schema)
    except SchemaUnusable:
        return None
    return schema


def descriptions_of_called(agent: AgentDefinition, agents: AgentRegistry) -> dict[str, Json]:
    """What the agents that it calls say of themselves, by id. Raises `NodeError` (``not_found``)."""
    found: dict[str, Json] = {}
    for entry in agent.tools:
        if entry.kind == "agent":
            called = agents.get(entry.id)
            if called is None:
                text = with_hint(f"agent {agent.id!r}: there is no agent {entry.id!r}", entry.id, agents.ids)
                raise NodeError("not_found", text)
            found[entry.id] = called.description
    return found


def name_for_model(id: str) -> str:
    """An id as providers take it; those in other scripts get a name of their own, always the same."""
    if _TAKEN_BY_PROVIDERS.fullmatch(id):
        return id
    return f"tool_{hashlib.sha256(id.encode()).hexdigest()[:16]}"
