"""Caring for Workflows, and for the Triggers that are published with them."""

from __future__ import annotations

import logging
from typing import Any

from workflow_runtime.frontends.client.errors import InvalidDefinition
from workflow_runtime.frontends.operator.caring import Carer, kept
from workflow_runtime.frontends.operator.composing import Composed, composed, trigger_mark
from workflow_runtime.frontends.operator.conditions import Condition, findings_json, invalid
from workflow_runtime.frontends.operator.deciding import Reason, publishing, run_summary
from workflow_runtime.frontends.operator.resources import Kind, Resource
from workflow_runtime.frontends.operator.work_queue import Later

LAST_RUNS = 5
SOON_SECONDS = 1.0  # for what the look at another object is about to bring about

logger = logging.getLogger(__name__)


class Workflows(Carer):
    async def care(self, resource: Resource) -> float:
        world = self._world
        if await self.is_taken(resource):
            return world.resync_seconds
        wanted = composed(resource, world.store.claiming(Kind.TRIGGER, resource.claim))
        try:
            status = await self._published(resource, wanted)
        except InvalidDefinition as error:
            await world.write(resource, {**kept(resource), "findings": findings_json(error.findings)}, *invalid(error))
            return world.resync_seconds
        runs = await world.api.last_runs(resource.claim, LAST_RUNS)
        valid = Condition("Valid", True, "Valid")
        ready = Condition("Ready", True, "Published", f"version {status['version']}")
        await world.write(resource, {**status, "lastRuns": [run_summary(run) for run in runs]}, valid, ready)
        return world.resync_seconds

    async def _published(self, resource: Resource, wanted: Composed) -> dict[str, Any]:
        """What the status says of the version that the definition is; it is published if it was not."""
        before = resource.status
        seen = await self._world.api.seen(resource.claim)
        reason = publishing(wanted.digest, before, seen)
        more: dict[str, Any] = {name: before[name] for name in ("driftCorrectedAt", "findings") if name in before}
        if seen is None or reason is not None:
            logger.info("%s: %s", resource.key.name, reason)
            seen, warnings = await self._world.api.put(resource.claim, wanted.source, seen)
            more["findings"] = findings_json(warnings)
            if reason is Reason.DRIFTED:
                more["driftCorrectedAt"] = self._world.now()
        elif more.get("findings"):  # what was missing may be there by now
            more["findings"] = findings_json(await self._world.api.findings(wanted.source))
        return {
            "workflowId": resource.claim,
            "version": seen.version,
            "planHash": seen.identity,
            "etag": seen.etag,
            "digest": wanted.digest,
            "triggers": wanted.triggers,
            **more,
        }

    async def undo(self, resource: Resource) -> float | None:
        return await self.unpublish(resource, self._world.api.seen, self._world.api.remove)


class Triggers(Carer):
    async def care(self, resource: Resource) -> float:
        world, name = self._world, resource.key.name
        workflow = await self._workflow(resource)
        if workflow is None:
            missing = f"no Workflow has the id {resource.claim}"
            await world.write(resource, {}, Condition("Ready", False, "WorkflowNotFound", missing))
            return world.resync_seconds
        if workflow.status.get("triggers", {}).get(name) == trigger_mark(resource):
            version = workflow.status["version"]
            ready = Condition("Ready", True, "Published", f"in version {version} of {resource.claim}")
            await world.write(resource, {"version": version}, ready)
            return world.resync_seconds
        world.mark(workflow.key)
        waiting = f"the Workflow {workflow.key.name} is to be published with it; see its status"
        await world.write(resource, {}, Condition("Ready", False, "WorkflowNotPublished", waiting))
        raise Later(waiting)

    async def undo(self, resource: Resource) -> float | None:
        workflow = await self._workflow(resource)
        if workflow is None or resource.key.name not in workflow.status.get("triggers", {}):
            return None
        self._world.mark(workflow.key)
        return SOON_SECONDS

    async def _workflow(self, trigger: Resource) -> Resource | None:
        """The Workflow that the Trigger is published with, as it is now."""
        owner = self._world.store.owner(Kind.WORKFLOW, trigger.claim)
        return await self._world.cluster.get(owner.key) if owner is not None else None
