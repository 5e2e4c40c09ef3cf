"""Caring for Limits. Setting a limiter again to what it is changes nothing, so drift is corrected by setting it."""

from __future__ import annotations

from workflow_runtime.frontends.client.errors import NotFound
from workflow_runtime.frontends.operator.caring import Carer
from workflow_runtime.frontends.operator.conditions import Condition
from workflow_runtime.frontends.operator.resources import Kind, Resource

OPERATORS_OWN = ("name", "paused")  # fields of `spec` that are none of the limiter


class Limits(Carer):
    async def care(self, resource: Resource) -> float:
        world = self._world
        if await self.is_taken(resource):
            return world.resync_seconds
        fields = {name: value for name, value in resource.spec.items() if name not in OPERATORS_OWN}
        await world.api.put_limit(resource.claim, fields)
        if "paused" in resource.spec:
            await world.api.put_limit(resource.claim, {"paused": resource.spec["paused"]})
        await world.write(resource, {"limiter": resource.claim}, Condition("Ready", True, "Set"))
        return world.resync_seconds

    async def undo(self, resource: Resource) -> float | None:
        if self._world.store.owner(Kind.LIMIT, resource.claim) is None:
            try:
                await self._world.api.delete_limit(resource.claim)
            except NotFound:
                return None
        return None
