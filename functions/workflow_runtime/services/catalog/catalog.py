"""The workflow catalogue: publishing a definition, finding the plan of a version."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.findings import Finding
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import CatalogueEntry
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Clock
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.workflows import VersionMismatch, WorkflowStore, WorkflowVersion

if TYPE_CHECKING:
    from workflow_runtime.compiler import Compilation
    from workflow_runtime.plan.catalogue import Catalogue
    from workflow_runtime.services.catalog.published_agents import PublishedAgents
    from workflow_runtime.services.catalog.triggers import Triggers


PUBLISHERS_MAX = 3  # who publish the same workflow at the same moment


class Published(msgspec.Struct, frozen=True):
    """A stored version, its plan, and what the compiler warned about."""

    version: WorkflowVersion
    plan: Plan
    warnings: tuple[Finding, ...] = ()


class PublishedWorkflows(Mapping[str, CatalogueEntry]):
    """The latest versions of workflows, by id. It does not list them: there may be many."""

    def __init__(self, workflows: WorkflowStore) -> None:
        self._workflows = workflows

    def __getitem__(self, id: str) -> CatalogueEntry:
        version = self._workflows.latest(id)
        if version is None:
            raise KeyError(id)
        plan = self._workflows.plan(version.plan_hash)
        return CatalogueEntry(
            id=id,
            source="workflow",
            input_schema=_object(plan.input_schema),
            output_schema=_object(plan.output_schema),
            express=plan.express,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _object(schema: Json) -> dict[str, Json] | None:
    return schema if isinstance(schema, dict) else None


def version_numbers(latest: int, limit: int, before: int | None) -> range:
    """Numbers of versions, from the newest on, below ``before``; ``limit`` at most."""
    newest = min(before - 1, latest) if before is not None else latest
    return range(newest, max(newest - limit, 0), -1)


class Catalog:
    """``catalogue``: the agents and tools of the deployment; ``pools``: the worker pools; ``agents``: those that were
    published at run time. None: that is not known here."""

    def __init__(
        self,
        clock: Clock,
        stores: Stores,
        triggers: Triggers,
        catalogue: Catalogue | None = None,
        pools: Collection[str] | None = None,
        agents: PublishedAgents | None = None,
    ) -> None:
        self._clock = clock
        self._workflows = stores.workflows
        self._limiters = stores.limiters
        self._stores = stores
        self._triggers = triggers
        self._agents = agents
        self.catalogue = catalogue
        self._pools = pools

    def publish(self, source: bytes, file: str = "", *, scheduled: bool = True) -> Published:
        """Compile and store a definition as the next version of its workflow (the same version for the same plan).

        ``scheduled`` as in `store`. Raises `DefinitionError` with every finding, `RequestError`
        (``invalid_definition``) for schedules that the scheduler refuses.
        """
        return self.store(self.compile(source, file), source, scheduled=scheduled)

    def compile(self, source: bytes, file: str = "", catalogue: Catalogue | None = None) -> Compilation:
        """What the compiler says of a definition, knowing the agents, tools, workflows and worker pools there are, or
        these."""
        from workflow_runtime.compiler import compile_workflow  # who only starts workflows does without it

        known = catalogue if catalogue is not None else self.known_now()
        return compile_workflow(source, file=file, catalogue=known, pools=self._pools)

    def known_now(self) -> Catalogue | None:
        """The catalogue with what is published: workflows, which are looked up when they are asked for, and agents."""
        if self.catalogue is None:
            return None
        packaged = self.catalogue.agents
        agents = self._agents.beside(packaged) if self._agents is not None else packaged
        published = msgspec.structs.replace(
            self.catalogue, workflows=PublishedWorkflows(self._workflows), agents=agents
        )
        known = self.catalogue.workflows
        return published.with_workflows(known) if known is not None else published

    def store(
        self, compilation: Compilation, source: bytes, over: int | None = None, *, scheduled: bool = True
    ) -> Published:
        """Store it with its triggers; ``over`` as in `WorkflowStore.publish`; ``scheduled`` False: without schedules.

        Raises `DefinitionError`, `VersionMismatch`, `RequestError` (``invalid_definition``).
        """
        if compilation.plan is None:
            raise DefinitionError(compilation.findings)
        plan = compilation.plan
        before = self._workflows.latest(plan.workflow_id)
        self._triggers.announce(plan, scheduled=scheduled)
        self._limiters.declare_own(plan.limits.own, self.plan(before).limits.own if before is not None else ())
        try:
            version = self._workflows.publish(plan, source, self._clock.now(), over)
        except VersionMismatch:
            self._triggers.settle(plan.workflow_id, plan)
            raise
        self._triggers.announce(plan, scheduled=scheduled)  # who lost against us has retired the same ones, perhaps
        if plan.exposed is not None:
            self._expose_newest(plan.workflow_id)
        if before is not None and before.plan_hash != plan.hash:
            self.superseded(before)
        return Published(version, plan, tuple(compilation.findings))

    def superseded(self, version: WorkflowVersion) -> None:
        """Retire the triggers that only this version has, and its tool, now that it is not the latest any more."""
        try:
            plan = self._workflows.plan(version.plan_hash)
        except (KeyError, msgspec.ValidationError):  # from before there were triggers, or of a newer deployment
            return
        self._triggers.settle(version.workflow_id, plan)
        if plan.exposed is not None:
            self._expose_newest(version.workflow_id)

    def _expose_newest(self, workflow_id: str) -> None:
        """Have the list of tools say of a workflow what its newest version does.

        The list is an index, not the truth: whoever calls a tool asks the newest version (`exposed`). Publishers who
        meet look again afterwards, so whatever comes last, the newest version stands there.
        """
        for _ in range(PUBLISHERS_MAX):
            newest = self._workflows.latest(workflow_id)
            plan = self._workflows.plan(newest.plan_hash) if newest is not None else None
            if plan is not None and plan.exposed is not None:
                self._stores.exposed.put(plan)
            else:
                self._stores.exposed.delete(workflow_id)
            if self._workflows.latest(workflow_id) == newest:
                return

    def exposed(self, tool: str) -> Plan | None:
        """The newest version of the workflow that is this tool, if that version is one."""
        found = self._stores.exposed.get(tool)
        newest = self._workflows.latest(found.workflow_id) if found is not None else None
        plan = self._workflows.plan(newest.plan_hash) if newest is not None else None
        return plan if plan is not None and plan.exposed is not None else None

    def version(self, workflow_id: str, number: int | None = None) -> WorkflowVersion:
        """A stored version of a published workflow, by default the latest. Raises `RequestError` (``not_found``)."""
        found = self._workflows.latest(workflow_id)
        if found is not None and number is not None:
            found = self._workflows.version(workflow_id, number)
        if found is None:
            what = f"workflow {workflow_id!r}" + (
                f" has no version {number}" if number is not None else " is not published"
            )
            raise RequestError("not_found", what)
        return found

    def known(self, workflow_id: str) -> None:
        """Raises `RequestError` (``not_found``) for a workflow that never was published; executions outlive theirs."""
        if self._workflows.pointer(workflow_id) is None:
            raise RequestError("not_found", f"workflow {workflow_id!r} is not published")

    def versions(self, latest: WorkflowVersion, limit: int, before: int | None) -> list[WorkflowVersion]:
        """Versions of a workflow, newest first, older than the number ``before``."""
        numbers = version_numbers(latest.number, limit, before)
        found = self._workflows.versions(latest.workflow_id, numbers)
        return [found[number] for number in numbers if number in found]

    def plan(self, version: WorkflowVersion) -> Plan:
        return self._workflows.plan(version.plan_hash)
