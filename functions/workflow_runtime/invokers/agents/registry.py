"""The agents that `definitions/agents` declares, read at first use and kept, and those that were published since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from workflow_runtime.errors import DefinitionError, RetryableError
from workflow_runtime.findings import Finding
from workflow_runtime.invokers.agents.definition import PROVIDER_PREFIXES, AgentDefinition
from workflow_runtime.invokers.agents.prices import without_price
from workflow_runtime.invokers.agents.references import called_by, circle, not_its_tools, references_of
from workflow_runtime.invokers.entries import entries_of, read_entries
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.yaml.small_files import (
    AGENT_CIRCLE,
    NO_PRICE,
    UNKNOWN_KEY,
    UNKNOWN_REFERENCE,
    Document,
    parse_document,
)
from workflow_runtime.plan.catalogue import CatalogueEntry
from workflow_runtime.plan.tokens import characters_of

PLURAL = "agents"  # the key of a list of them in a file

NO_CALLS: Mapping[str, Collection[str]] = {}


class Publications(Protocol):
    """Agents that were published at run time, as of a few seconds ago at most."""

    @property
    def ids(self) -> Collection[str]: ...

    def latest(self, id: str) -> int | None:
        """The latest version of an agent; None: it is not published."""

    def source(self, id: str, version: int) -> bytes:
        """The text of a version. Raises `RetryableError`."""


class AgentRegistry:
    """Agents by id. Files are read at first use; then, and only then, all that is wrong with them is raised at once.
    An agent that was published takes the place of one of that id in the files.

    ``publications`` None: none can have been.
    """

    def __init__(self, directory: Path | None, publications: Publications | None = None) -> None:
        self._directory = directory
        self._publications = publications
        self._published: dict[str, tuple[int, AgentDefinition]] = {}

    @classmethod
    def load(cls, directory: Path | None, publications: Publications | None = None) -> AgentRegistry:
        """The agents below ``directory``: ``*.yaml``, ``*.yml``, ``*.json``; one agent a file, or a list under
        ``agents:``."""
        return cls(directory, publications)

    @property
    def ids(self) -> frozenset[str]:
        """Raises `DefinitionError` when any file is wrong."""
        return frozenset((*self._agents, *(self._publications.ids if self._publications is not None else ())))

    def get(self, id: str) -> AgentDefinition | None:
        """The agent, or None. Raises `DefinitionError` when any file is wrong; for one that was published,
        `RetryableError`, also if this version of the runtime cannot read it."""
        found = self.find(id)
        return found[0] if found is not None else None

    def find(self, id: str) -> tuple[AgentDefinition, bool] | None:
        """The agent, and whether it was published at run time. Raises as `get`."""
        version = self._publications.latest(normalized(id)) if self._publications is not None else None
        if version is not None:
            return self._published_as(normalized(id), version), True
        found = self._agents.get(id)
        return (found[0], False) if found is not None else None

    def _published_as(self, id: str, version: int) -> AgentDefinition:
        known = self._published.get(id)
        if known is None or known[0] != version:
            assert self._publications is not None  # it has named the version
            try:
                found = read_agents([parse_document(self._publications.source(id, version))])
            except DefinitionError as error:
                what = f"version {version} of the agent {id!r} cannot be read here: {error.findings[0].message}"
                raise RetryableError(what) from None
            known = self._published[id] = version, found[id][0]
        return known[1]

    def describe(self) -> dict[str, CatalogueEntry]:
        """Every agent of the files as plain data, by id in order. Raises `DefinitionError` when any file is wrong."""
        return {id: entry_of(*self._agents[id], self._workflows_of) for id in sorted(self._agents)}

    def unknown_references(self, known: Mapping[str, Collection[str]]) -> Iterator[Finding]:
        """As `unknown_references`, of all files. Raises `DefinitionError` when any file is wrong."""
        for agent, document in self._agents.values():
            yield from unknown_references(agent, document, known)

    def unpriced(self) -> Iterator[Finding]:
        """As `unpriced`, of all files. Raises `DefinitionError` when any file is wrong."""
        for agent, document in self._agents.values():
            yield from unpriced(agent, document)

    def _workflows_of(self, id: str) -> Collection[str]:
        """Those that an agent of the files, or one that it calls, has among its tools."""
        found = self._agents.get(id)
        return workflows_of(found[0], self._workflows_of) if found is not None else ()

    @cached_property
    def _agents(self) -> dict[str, tuple[AgentDefinition, Document]]:
        findings: list[Finding] = []
        entries = read_entries(self._directory, PLURAL, AgentDefinition, findings)
        return _without_findings(entries, findings)


def read_agents(
    documents: Iterable[Document], others: Mapping[str, Collection[str]] = NO_CALLS
) -> dict[str, tuple[AgentDefinition, Document]]:
    """The agents of documents, by id. ``others``: agents beside them, and whom they call. Raises `DefinitionError` with
    all that can be seen to be wrong without knowing what else there is."""
    findings: list[Finding] = []
    entries = entries_of(documents, PLURAL, AgentDefinition, findings)
    return _without_findings(entries, findings, others)


def unknown_references(
    agent: AgentDefinition, document: Document, known: Mapping[str, Collection[str]]
) -> Iterator[Finding]:
    """A finding for everything that an agent names and that there is not. ``known``: what there is, by kind (as
    ``tool``); others are not looked for."""
    for reference in references_of(agent):
        there = known.get(reference.kind)
        if there is not None and reference.id not in there:
            message = f"agent {agent.id!r} names the {reference.kind} {reference.id!r}, which does not exist"
            place = (*_place(document.value, agent.id), *reference.place)
            yield document.finding(UNKNOWN_REFERENCE, message, place, did_you_mean(reference.id, there))


def unpriced(agent: AgentDefinition, document: Document) -> Iterator[Finding]:
    """A finding for every model that the budget of its agent would refuse."""
    for number in without_price(agent):
        choice = agent.choices[number]
        where = f" at {choice.base_url}" if choice.base_url is not None else ""
        message = f"agent {agent.id!r}: nobody knows a price of {choice.model}{where}"
        yield document.finding(NO_PRICE, message, (*_place(document.value, agent.id), "models", number))


def workflows_of(agent: AgentDefinition, of_agent: Callable[[str], Collection[str]]) -> Collection[str]:
    """The workflows that it, or an agent that it calls, has among its tools. ``of_agent``: those of an agent."""
    found: set[str] = set()
    for reference in references_of(agent):
        if reference.kind == "workflow_id":
            found.add(reference.id)
        elif reference.kind == "agent":
            found.update(of_agent(reference.id))
    return found


def entry_of(agent: AgentDefinition, document: Document, of_agent: Callable[[str], Collection[str]]) -> CatalogueEntry:
    """What the compiler knows of an agent. ``of_agent``: the workflows of the agents that it calls."""
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
        workflows=tuple(sorted(workflows_of(agent, of_agent))),
        call_terms=tuple(entry.terms for entry in agent.tools if entry.terms is not None),
        calls=called_by(agent),
        limiters=agent.limiters_of(agent.choices[0]),
        named_limiters=agent.limiter,
        instructions=characters_of(agent.instructions),
        offers=tuple((entry.kind, entry.id) for entry in agent.tools),
    )


def _without_findings(
    entries: dict[str, tuple[AgentDefinition, Document]],
    findings: list[Finding],
    others: Mapping[str, Collection[str]] = NO_CALLS,
) -> dict[str, tuple[AgentDefinition, Document]]:
    for agent, document in entries.values():
        findings += _findings(agent, document)
    findings += _references(entries, others)
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


def _references(
    entries: Mapping[str, tuple[AgentDefinition, Document]], others: Mapping[str, Collection[str]]
) -> Iterator[Finding]:
    """What is wrong with what agents name of themselves and of one another."""
    for agent, document in entries.values():
        at = _place(document.value, agent.id)
        for tool, place in not_its_tools(agent):
            message = f"agent {agent.id!r} has no tool {tool!r}"
            hint = did_you_mean(tool, [entry.id for entry in agent.tools])
            yield document.finding(UNKNOWN_REFERENCE, message, (*at, *place), hint)
    called = [*circle({**others, **{id: called_by(agent) for id, (agent, _) in entries.items()}})]
    step = next((pair for pair in pairwise(called) if pair[0] in entries), None)
    if step is not None:
        caller, callee = step
        agent, document = entries[caller]
        place = next(reference.place for reference in references_of(agent) if reference.id == callee)
        message = f"agents call one another in a circle: {' calls '.join(map(repr, called))}"
        yield document.finding(AGENT_CIRCLE, message, (*_place(document.value, caller), *place))


def _place(value: object, id: str) -> tuple[str | int, ...]:
    """Where a document declares the agent."""
    agents = value.get(PLURAL) if isinstance(value, dict) else None
    for index, agent in enumerate(agents if isinstance(agents, list) else ()):
        if isinstance(agent, dict) and normalized(str(agent.get("id"))) == id:
            return (PLURAL, index)
    return ()
