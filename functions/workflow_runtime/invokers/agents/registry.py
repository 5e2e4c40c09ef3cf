"""The agents that `definitions/agents` declares, read at first use and kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.invokers.agents.definition import PROVIDER_PREFIXES, AgentDefinition
from workflow_runtime.invokers.agents.prices import without_price
from workflow_runtime.invokers.agents.references import circle, not_its_tools, references_of
from workflow_runtime.invokers.entries import read_entries
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.yaml.small_files import (
    AGENT_CIRCLE,
    NO_PRICE,
    UNKNOWN_KEY,
    UNKNOWN_REFERENCE,
    Document,
)
from workflow_runtime.plan.catalogue import CatalogueEntry


class AgentRegistry:
    """Agents by id. Files are read at first use; then, and only then, all that is wrong with them is raised at once."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @classmethod
    def load(cls, directory: Path | None) -> AgentRegistry:
        """The agents below ``directory``: ``*.yaml``, ``*.yml``, ``*.json``; one agent a file, or a list under
        ``agents:``."""
        return cls(directory)

    @property
    def ids(self) -> frozenset[str]:
        """Raises `DefinitionError` when any file is wrong."""
        return frozenset(self._agents)

    def get(self, id: str) -> AgentDefinition | None:
        """The agent, or None. Raises `DefinitionError` when any file is wrong."""
        found = self._agents.get(id)
        return found[0] if found is not None else None

    def describe(self) -> dict[str, CatalogueEntry]:
        """Every agent as plain data, by id in order. Raises `DefinitionError` when any file is wrong."""
        return {id: self._entry(id) for id in sorted(self._agents)}

    def unknown_references(self, known: Mapping[str, Collection[str]]) -> Iterator[Finding]:
        """A finding for everything that an agent names and that there is not. ``known``: what there is, by kind (as
        ``tool``); others are not looked for. Raises `DefinitionError` when any file is wrong."""
        for agent, document in self._agents.values():
            for reference in references_of(agent):
                there = known.get(reference.kind)
                if there is not None and reference.id not in there:
                    message = f"agent {agent.id!r} names the {reference.kind} {reference.id!r}, which does not exist"
                    place = (*_place(document.value, agent.id), *reference.place)
                    yield document.finding(UNKNOWN_REFERENCE, message, place, did_you_mean(reference.id, there))

    def unpriced(self) -> Iterator[Finding]:
        """A finding for every model that the budget of its agent would refuse. Raises `DefinitionError` when any file
        is wrong."""
        for agent, document in self._agents.values():
            for number in without_price(agent):
                choice = agent.choices[number]
                where = f" at {choice.base_url}" if choice.base_url is not None else ""
                message = f"agent {agent.id!r}: nobody knows a price of {choice.model}{where}"
                yield document.finding(NO_PRICE, message, (*_place(document.value, agent.id), "models", number))

    def _entry(self, id: str) -> CatalogueEntry:
        agent, document = self._agents[id]
        return CatalogueEntry(
            id=agent.id,
            description=agent.description,
            source=document.file,
            output_schema=agent.output_schema,
            models=tuple(choice.model for choice in agent.choices),
            models_elsewhere=tuple(choice.model for choice in agent.choices if choice.base_url is not None),
            output_tokens=agent.settings.max_tokens or 0,
            budget=agent.visit_budget,
            has_session=agent.session is not None,
            workflows=tuple(sorted(self._workflows_of(agent))),
            call_terms=tuple(entry.terms for entry in agent.tools if entry.terms is not None),
        )

    def _workflows_of(self, agent: AgentDefinition) -> set[str]:
        """Those that it calls, or that an agent does which it calls."""
        found: set[str] = set()
        for reference in references_of(agent):
            if reference.kind == "workflow_id":
                found.add(reference.id)
            elif reference.kind == "agent" and reference.id in self._agents:
                found |= self._workflows_of(self._agents[reference.id][0])
        return found

    @cached_property
    def _agents(self) -> dict[str, tuple[AgentDefinition, Document]]:
        findings: list[Finding] = []
        entries = read_entries(self._directory, "agents", AgentDefinition, findings)
        for agent, document in entries.values():
            findings += _findings(agent, document)
        findings += _references(entries)
        if findings:
            raise DefinitionError(findings)
        return entries


def _findings(agent: AgentDefinition, document: Document) -> Iterator[Finding]:
    place = _place(document.value, agent.id)
    for key in agent.settings.model_extra or {}:
        if not key.startswith(PROVIDER_PREFIXES):
            hint = did_you_mean(key, type(agent.settings).model_fields)
            message = f"agent {agent.id!r}: unknown key {key!r} in `settings`"
            yield document.finding(UNKNOWN_KEY, message, (*place, "settings", key), hint)


def _references(entries: Mapping[str, tuple[AgentDefinition, Document]]) -> Iterator[Finding]:
    """What is wrong with what agents name of themselves and of one another."""
    for agent, document in entries.values():
        at = _place(document.value, agent.id)
        for tool, place in not_its_tools(agent):
            message = f"agent {agent.id!r} has no tool {tool!r}"
            hint = did_you_mean(tool, [entry.id for entry in agent.tools])
            yield document.finding(UNKNOWN_REFERENCE, message, (*at, *place), hint)
    called = circle({id: agent for id, (agent, _) in entries.items()})
    if called:
        caller, callee, *_ = called
        agent, document = entries[caller]
        place = next(reference.place for reference in references_of(agent) if reference.id == callee)
        message = f"agents call one another in a circle: {' calls '.join(map(repr, called))}"
        yield document.finding(AGENT_CIRCLE, message, (*_place(document.value, caller), *place))


def _place(value: object, id: str) -> tuple[str | int, ...]:
    """Where a document declares the agent."""
    agents = value.get("agents") if isinstance(value, dict) else None
    for index, agent in enumerate(agents if isinstance(agents, list) else ()):
        if isinstance(agent, dict) and normalized(str(agent.get("id"))) == id:
            return ("agents", index)
    return ()
