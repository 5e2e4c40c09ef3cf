"""Published workflows that name an agent, and what the compiler would say of them if the agent were another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.errors import RequestError
from workflow_runtime.findings import Finding
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.ports import Clock
from workflow_runtime.services.catalog.catalog import Catalog
from workflow_runtime.services.catalog.published_agents import OtherAgents
from workflow_runtime.storage.workflows import WorkflowStore, WorkflowVersion, agents_named

PAGE_WORKFLOWS = 100
SECONDS_MAX = 20  # of looking: API Gateway gives up after 30
BROKEN_MAX = 20  # workflows that are told of: whoever mends them asks again


class Broken(msgspec.Struct, frozen=True):
    """A workflow, and what the compiler would say of it that it does not say today."""

    workflow_id: str
    findings: tuple[Finding, ...]


class Dependants:
    def __init__(self, clock: Clock, workflows: WorkflowStore, catalog: Catalog) -> None:
        self._clock = clock
        self._workflows = workflows
        self._catalog = catalog

    def broken(self, agent_id: str, entry: CatalogueEntry | None) -> Sequence[Broken]:
        """The workflows that would have new findings if the agent were this one, or (None) if there were none of this
        id; `BROKEN_MAX` at most. Raises `RequestError` (``conflict``) when there are too many to look at."""
        now = self._catalog.known_now()
        if now is None or as_compiled(now.agents.get(agent_id)) == as_compiled(entry):
            return ()
        then = replace(now, agents=OtherAgents(now.agents, agent_id, entry))
        until = self._clock.now() + SECONDS_MAX * 1000
        found: list[Broken] = []
        for version in self._naming(agent_id):
            if self._clock.now() > until:
                what = f"too many workflows name the agent {agent_id!r} to check them all in {SECONDS_MAX} s"
                raise RequestError("conflict", f"{what}; to publish or delete it unchecked, say `force=true`")
            if findings := self._new_findings(version, now, then):
                found.append(Broken(version.workflow_id, findings))
            if len(found) == BROKEN_MAX:
                break
        return found

    def _naming(self, agent_id: str) -> Iterator[WorkflowVersion]:
        before: str | None = None
        while True:
            pointers = self._workflows.list(PAGE_WORKFLOWS, before)
            for version in self._workflows.latest_of(pointers):
                agents = version.agents
                if agents is None:
                    agents = agents_named(self._workflows.plan(version.plan_hash))
                if agent_id in agents:
                    yield version
            if len(pointers) < PAGE_WORKFLOWS:
                return
            before = pointers[-1].position

    def _new_findings(self, version: WorkflowVersion, now: Catalogue, then: Catalogue) -> tuple[Finding, ...]:
        source = self._workflows.source(version)
        later = self._catalog.compile(source, catalogue=then).findings
        if not later:
            return ()
        known = set(map(_what, self._catalog.compile(source, catalogue=now).findings))
        return tuple(finding for finding in later if _what(finding) not in known)


def as_compiled(entry: CatalogueEntry | None) -> CatalogueEntry | None:
    """What the compiler makes use of."""
    return replace(entry, description="", source="", calls=()) if entry is not None else None


def _what(finding: Finding) -> tuple[str, str, str]:
    return finding.id, finding.path, finding.message
