"""Agents that are published at run time: checked as files are, kept in versions, in force within seconds.

One that is published takes the place of one of that id that was packaged, until it is deleted. A visit that has begun
goes on with the definition that it began with (it is the first of its steps). A change that published workflows do not
fit, because they read what the agent would not give back any more, is refused unless it is forced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import DefinitionError, RequestError, WouldBreak
from workflow_runtime.findings import Finding
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.texts import quoted
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.ports import Clock
from workflow_runtime.services.catalog.catalog import version_numbers
from workflow_runtime.services.catalog.dependants import Broken, Dependants
from workflow_runtime.services.catalog.published_agents import PUBLISHED
from workflow_runtime.services.looks import Looks
from workflow_runtime.storage.agents import (
    AGENTS_MAX,
    ENTRY_BYTES_MAX,
    SOURCE_BYTES_MAX,
    AgentMismatch,
    AgentPointer,
    AgentVersion,
)
from workflow_runtime.storage.stores import Stores

if TYPE_CHECKING:
    from workflow_runtime.invokers.agents.definition import AgentDefinition
    from workflow_runtime.services.catalog.catalog import Catalog

CHANGE_ATTEMPTS_MAX = 3  # against others who publish the same agent at the same moment
NAMED_MAX = 5  # workflows that a refusal names

ExpectedAgent = Callable[[AgentVersion | None], bool]
"""Whether the latest version (None: none is published) is one that the caller allows to be replaced."""


PACKAGED = "packaged"  # where an agent comes from that is in the files of a deployment
UNKNOWN = ("version", "digest", "published_at")  # of an agent that was packaged


class CheckedAgent(msgspec.Struct, frozen=True):
    """A definition that can be published.

    ``digest``: of what it says.
    ``entry``: what the compiler is to know of it.
    """

    agent_id: str
    digest: str
    entry: CatalogueEntry


class AgentInForce(msgspec.Struct, frozen=True):
    """An agent, or a version of one that was published.

    ``entry``: what the compiler knows of it.
    ``version``: None: it was packaged with the deployment.
    ``hides``: whether it takes the place of one that was packaged; None: that is not known here.
    """

    entry: CatalogueEntry
    version: AgentVersion | None
    hides: bool | None

    def json(self) -> dict[str, Json]:
        return {
            "agent_id": self.entry.id,
            "source": PUBLISHED if self.version is not None else PACKAGED,
            **(self.version.json() if self.version is not None else dict.fromkeys(UNKNOWN)),
            "hides_packaged": self.hides,
            "description": self.entry.description,
            "models": list(self.entry.models),
            "output_schema": self.entry.output_schema,
        }


class PublishedAgent(msgspec.Struct, frozen=True):
    """What a definition became. ``hides``: as `AgentInForce` has it."""

    version: AgentVersion
    hides: bool | None
    is_new: bool

    def json(self) -> dict[str, Json]:
        return {**self.version.json(), "hides_packaged": self.hides}


class ListedAgent(msgspec.Struct, frozen=True):
    """``published``: the row of one that is; ``hides``: whether one of that id was packaged, too."""

    agent_id: str
    published: AgentPointer | None
    hides: bool

    def json(self) -> dict[str, Json]:
        row = self.published
        return {
            "agent_id": self.agent_id,
            "source": PUBLISHED if row is not None else PACKAGED,
            "version": row.latest if row is not None else None,
            "created_at": iso_time(row.created_at) if row is not None else None,
            "hides_packaged": self.hides,
        }


class Agents:
    """Every method raises `RetryableError`."""

    def __init__(self, clock: Clock, stores: Stores, looks: Looks, catalog: Catalog) -> None:
        self._clock = clock
        self._agents = stores.agents
        self._looks = looks
        self._catalog = catalog
        self._dependants = Dependants(clock, stores.workflows, catalog)

    def check(self, source: bytes) -> CheckedAgent:
        """Raises `DefinitionError` with every finding, `RequestError` (``too_large``)."""
        from workflow_runtime.invokers.agents.registry import (  # few requests need what agents may say
            entry_of,
            read_agents,
            unknown_references,
            unpriced,
        )
        from workflow_runtime.language.yaml.small_files import WRONG_FIELD, parse_document

        if len(source) > SOURCE_BYTES_MAX:
            what = f"the definition of an agent may have {SOURCE_BYTES_MAX:,} bytes; this one has {len(source):,}"
            raise RequestError("too_large", what)
        document = parse_document(source)
        known = self._catalog.known_now()
        found = read_agents([document], _calls(known))
        if len(found) != 1:
            message = f"the definition of one agent is needed; here are {len(found)}"
            raise DefinitionError([document.finding(WRONG_FIELD, message)])
        ((agent, _),) = found.values()
        findings = [*unpriced(agent, document)]
        if known is not None:
            findings += unknown_references(agent, document, _there(known, agent.id))
        if findings:
            raise DefinitionError(findings)
        entry = entry_of(agent, document, _workflows_of(known))
        size = len(msgspec.json.encode(entry))
        if size > ENTRY_BYTES_MAX:
            what = f"`output_schema` and all that the agent names may have {ENTRY_BYTES_MAX:,} bytes as JSON"
            raise RequestError("too_large", f"{what}, with aliases spelt out; here they have {size:,}")
        return CheckedAgent(agent.id, _digest(agent), entry)

    def publish(self, agent_id: str, source: bytes, expected: ExpectedAgent, *, force: bool = False) -> PublishedAgent:
        """Publish an agent's next version, or its first. The same definition again changes nothing.

        Raises as `check`; `RequestError`: ``invalid_definition`` (another agent's id), ``precondition_failed``
        (``expected`` does not allow the latest version), ``too_many``, ``conflict``; `WouldBreak`, unless ``force``.
        """
        checked = self.check(source)
        if checked.agent_id != normalized(agent_id):
            what = f"the definition is of the agent {checked.agent_id!r}, not of {agent_id!r}"
            raise RequestError("invalid_definition", what)
        for _ in range(CHANGE_ATTEMPTS_MAX):
            pointer = self._agents.pointer(checked.agent_id)
            latest = self._latest(pointer)
            if not expected(latest):
                raise RequestError("precondition_failed", "the agent's latest version is another one")
            if pointer is None and len(self._agents.pointers()) >= AGENTS_MAX:
                raise RequestError("too_many", f"{AGENTS_MAX:,} agents were published here, and there may be no more")
            if not force and (latest is None or latest.digest != checked.digest):
                self._check_dependants("published", checked.agent_id, checked.entry)
            try:
                version = self._agents.publish(
                    checked.agent_id,
                    checked.digest,
                    source,
                    checked.entry,
                    self._clock.now(),
                    latest.number if latest is not None else 0,
                )
            except AgentMismatch:
                continue
            self._looks.read()
            return PublishedAgent(version, self._hides(version.agent_id), latest is None)
        raise RequestError("conflict", f"agent {agent_id!r} is being published by others; try again")

    def remove(self, agent_id: str, expected: ExpectedAgent, *, force: bool = False) -> None:
        """Publish an agent no more: one of its id that was packaged is in force again, if there is one.

        Raises `RequestError`: ``not_found``, ``precondition_failed``, ``conflict``; `WouldBreak` where workflows or
        agents need it, unless ``force``.
        """
        for _ in range(CHANGE_ATTEMPTS_MAX):
            pointer = self._agents.pointer(agent_id)
            latest = self._latest(pointer)
            if pointer is None or latest is None:
                raise self._not_found(agent_id)
            if not expected(latest):
                raise RequestError("precondition_failed", "the agent's latest version is another one")
            if not force:
                self._check_removal(pointer.agent_id)
            if self._agents.remove(pointer, self._clock.now()):
                self._looks.read()
                return
        raise RequestError("conflict", f"agent {agent_id!r} is being published by others; try again")

    def in_force(self, agent_id: str, number: int | None = None) -> AgentInForce:
        """An agent, or a version of one that is published. Raises `RequestError` (``not_found``)."""
        packaged = self.packaged(agent_id)
        latest = self.latest(agent_id)
        if latest is None and packaged is not None and number is None:
            return AgentInForce(packaged, None, False)
        if latest is None:
            raise self._not_found(agent_id)
        found = [latest] if number is None else self._agents.versions(latest.agent_id, [number])
        if not found:
            raise RequestError("not_found", f"the agent {agent_id!r} has no version {number}")
        entry = self._agents.entry(latest.agent_id, found[0].number)
        return AgentInForce(entry, found[0], self._hides(latest.agent_id))

    def latest(self, agent_id: str) -> AgentVersion | None:
        """The latest version of an agent; None: it is not published."""
        return self._latest(self._agents.pointer(agent_id))

    def source(self, version: AgentVersion) -> bytes:
        """The definition's text as it was published."""
        return self._agents.source(version.agent_id, version.number)

    def versions(self, agent_id: str, limit: int, before: int | None) -> list[AgentVersion]:
        """Versions of a published agent, newest first, older than the number ``before``. Raises `RequestError`
        (``not_found``)."""
        latest = self.latest(agent_id)
        if latest is None:
            raise self._not_found(agent_id)
        return self._agents.versions(latest.agent_id, version_numbers(latest.number, limit, before))

    def list(self, after: str, limit: int | None) -> list[ListedAgent]:
        """Agents that are published or packaged, by id, behind ``after``."""
        published = {pointer.agent_id: pointer for pointer in self._agents.pointers() if pointer.is_published}
        packaged = self._catalog.catalogue.agents if self._catalog.catalogue is not None else {}
        ids = sorted(id for id in {*published, *packaged} if id > after)
        return [ListedAgent(id, published.get(id), id in published and id in packaged) for id in ids[:limit]]

    def packaged(self, agent_id: str) -> CatalogueEntry | None:
        """The agent of this id that was packaged with the deployment, as far as that is known here."""
        catalogue = self._catalog.catalogue
        return catalogue.agents.get(normalized(agent_id)) if catalogue is not None else None

    def _latest(self, pointer: AgentPointer | None) -> AgentVersion | None:
        if pointer is None or not pointer.is_published:
            return None
        found = self._agents.versions(pointer.agent_id, [pointer.latest])
        return found[0] if found else None

    def _hides(self, agent_id: str) -> bool | None:
        return agent_id in self._catalog.catalogue.agents if self._catalog.catalogue is not None else None

    def _not_found(self, agent_id: str) -> RequestError:
        packaged = ": it is packaged with the deployment" if self.packaged(agent_id) is not None else ""
        return RequestError("not_found", f"the agent {agent_id!r} is not published{packaged}")

    def _check_removal(self, agent_id: str) -> None:
        """Raises `WouldBreak`."""
        left = self.packaged(agent_id)
        known = self._catalog.known_now()
        callers = [id for id, called in _calls(known).items() if agent_id in called]
        if left is None and callers:
            names = ", ".join(map(quoted, callers[:NAMED_MAX]))
            what = f"the agent {agent_id!r} cannot be deleted: agents call it ({names})"
            raise WouldBreak(f"{what}; change these first, or say `force=true`", ())
        self._check_dependants("deleted", agent_id, left)

    def _check_dependants(self, done: str, agent_id: str, entry: CatalogueEntry | None) -> None:
        """Raises `WouldBreak`."""
        broken = self._dependants.broken(agent_id, entry)
        if broken:
            names = "; ".join(f"{quoted(one.workflow_id)}: {one.findings[0].message}" for one in broken[:NAMED_MAX])
            more = f"; and {len(broken) - NAMED_MAX} or more others" if len(broken) > NAMED_MAX else ""
            advice = "publish workflows that fit first, or say `force=true`"
            what = f"the agent {agent_id!r} cannot be {done}: published workflows do not fit ({names}{more})"
            raise WouldBreak(f"{what}; {advice}", [*_of_workflows(broken)])


def _calls(known: Catalogue | None) -> Mapping[str, Collection[str]]:
    """Whom each of the agents there are calls."""
    return {agent.id: agent.calls for agent in known.agents.values()} if known is not None else {}


def _workflows_of(known: Catalogue | None) -> Callable[[str], Collection[str]]:
    """The workflows that an agent, or one that it calls, has among its tools."""
    return lambda id: known.agents[id].workflows if known is not None and id in known.agents else ()


def _there(known: Catalogue, agent_id: str) -> dict[str, frozenset[str]]:
    """What an agent may name, by kind."""
    there = {"tool": frozenset(known.tools), "agent": frozenset((*known.agents, agent_id))}
    return there if known.mcp_servers is None else {**there, "mcp": frozenset(known.mcp_servers)}


def _digest(agent: AgentDefinition) -> str:
    """The same for definitions that say the same, however they are written."""
    said = agent.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:40]


def _of_workflows(broken: Sequence[Broken]) -> Iterator[Finding]:
    for one in broken:
        for finding in one.findings:
            message = f"workflow {quoted(one.workflow_id)}: {finding.message}"
            yield msgspec.structs.replace(finding, message=message)
