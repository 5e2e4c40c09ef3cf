"""Caring for Agents."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec

from workflow_runtime.frontends.client.errors import Conflict, InvalidDefinition
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.frontends.operator.caring import Carer, kept
from workflow_runtime.frontends.operator.conditions import Condition, findings_json, invalid
from workflow_runtime.frontends.operator.deciding import Reason, publishing
from workflow_runtime.frontends.operator.resources import Kind, Resource

UNFIT = "conflict"  # the code of what the API says of a change that published workflows do not fit

logger = logging.getLogger(__name__)


class Agents(Carer):
    async def care(self, resource: Resource) -> float:
        world = self._world
        if await self.is_taken(resource):
            return world.resync_seconds
        try:
            status = await self._published(resource)
        except InvalidDefinition as error:
            await world.write(resource, {**kept(resource), "findings": findings_json(error.findings)}, *invalid(error))
            return world.resync_seconds
        except Conflict as error:
            if error.code != UNFIT:
                raise
            unfit = Condition("Ready", False, "WorkflowsDoNotFit", error.message)
            await world.write(resource, kept(resource), Condition("Valid", True, "Valid"), unfit)
            return world.resync_seconds
        ready = Condition("Ready", True, "Published", f"version {status['version']}")
        await world.write(resource, status, Condition("Valid", True, "Valid"), ready)
        return world.resync_seconds

    async def _published(self, resource: Resource) -> dict[str, Any]:
        """What the status says of the version that the definition is; it is published if it was not."""
        before = resource.status
        source = Source(msgspec.json.format(msgspec.json.encode(resource.spec["agent"]), indent=2))
        digest = hashlib.sha256(source.data).hexdigest()
        seen = await self._world.api.seen_agent(resource.claim)
        reason = publishing(digest, before, seen)
        corrected = {"driftCorrectedAt": before["driftCorrectedAt"]} if "driftCorrectedAt" in before else {}
        if seen is None or reason is not None:
            logger.info("%s: %s", resource.key.name, reason)
            force = bool(resource.spec.get("force", False))
            seen = await self._world.api.put_agent(resource.claim, source, seen, force=force)
            if reason is Reason.DRIFTED:
                corrected = {"driftCorrectedAt": self._world.now()}
            for other in self._world.store.with_findings(Kind.WORKFLOW, Kind.AGENT):
                self._world.mark(other.key)  # perhaps it was this agent that they missed
        return {
            "agentId": resource.claim,
            "version": seen.version,
            "etag": seen.etag,
            "digest": digest,
            "findings": [],
            **corrected,
        }

    async def undo(self, resource: Resource) -> float | None:
        return await self.unpublish(resource, self._world.api.seen_agent, self._world.api.remove_agent)
