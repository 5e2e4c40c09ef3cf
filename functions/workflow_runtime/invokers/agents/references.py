"""What definitions of agents name: tools, agents, workflows and servers, each with its place in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

import msgspec

from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.guardrail_entries import Guardrail
from workflow_runtime.invokers.agents.tool_entries import ToolKind

Place = tuple[str | int, ...]


class Reference(msgspec.Struct, frozen=True):
    kind: ToolKind
    id: str
    place: Place


def guardrails_of(agent: AgentDefinition) -> Iterator[tuple[Place, Guardrail]]:
    """All guardrails, with their places in the agent."""
    for number, at_input in enumerate(agent.guardrails.input):
        yield ("guardrails", "input", number), at_input
    for number, at_output in enumerate(agent.guardrails.output):
        yield ("guardrails", "output", number), at_output
    for tool, guarding in agent.guardrails.tools.items():
        for number, at_call in enumerate(guarding):
            yield ("guardrails", "tools", tool, number), at_call


def references_of(agent: AgentDefinition) -> Iterator[Reference]:
    """What an agent calls, and what checks it."""
    for number, entry in enumerate(agent.tools):
        place: Place = ("tools", number)
        yield Reference(entry.kind, entry.id, place)
    for place, guardrail in guardrails_of(agent):
        check = guardrail.check
        if check.tool is not None:
            yield Reference("tool", check.tool, (*place, "check"))
        if check.agent is not None:
            yield Reference("agent", check.agent, (*place, "check"))


def not_its_tools(agent: AgentDefinition) -> Iterator[tuple[str, Place]]:
    """What guardrails and rules name as tools of the agent that it does not have, with the places."""
    if any(entry.kind == "mcp" for entry in agent.tools):
        return  # what a server brings is not known here
    known = {entry.id for entry in agent.tools}
    named: list[tuple[str, Place]] = [(tool, ("guardrails", "tools", tool)) for tool in agent.guardrails.tools]
    for number, rule in enumerate(agent.rules):
        field = "deny" if rule.deny is not None else "before"
        named.append((rule.deny or rule.before or "", ("rules", number, field)))
    yield from ((tool, place) for tool, place in named if tool not in known)


def called_by(agent: AgentDefinition) -> tuple[str, ...]:
    """The agents that it calls, or is checked by."""
    return tuple(dict.fromkeys(reference.id for reference in references_of(agent) if reference.kind == "agent"))


def circle(calls: Mapping[str, Collection[str]]) -> Collection[str]:
    """Agents that call, or are checked by, one another in a circle, in its order; nothing if there is none.
    ``calls``: whom each calls.

    An agent that calls itself would go on until its limits end it, with a run of its own each time.
    """
    try:
        TopologicalSorter({id: [other for other in called if other in calls] for id, called in calls.items()}).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]  # from the caller to what it calls
    return ()
