"""What is done for one object: read it, hold it, have the carer of its kind care for it, or let go of it.

The order survives a stop anywhere: the finalizer comes before the first thing that would have to be undone, and the
status after what it tells of. Every request to the runtime may be repeated: publishing the same definition again
changes nothing and names the version that it replaces, and a start carries the object's uid as its key.
"""

from __future__ import annotations

from collections.abc import Callable

from workflow_runtime.frontends.client.errors import Conflict, EngineError
from workflow_runtime.frontends.operator.agents import Agents
from workflow_runtime.frontends.operator.caring import Carer, World
from workflow_runtime.frontends.operator.cluster import Stale
from workflow_runtime.frontends.operator.limits import Limits
from workflow_runtime.frontends.operator.resources import Key, Kind, Resource
from workflow_runtime.frontends.operator.runs import Runs
from workflow_runtime.frontends.operator.work_queue import Later
from workflow_runtime.frontends.operator.workflows import Triggers, Workflows

CARERS: dict[Kind, type[Carer]] = {
    Kind.WORKFLOW: Workflows,
    Kind.TRIGGER: Triggers,
    Kind.AGENT: Agents,
    Kind.LIMIT: Limits,
    Kind.RUN: Runs,
}


class Reconciler:
    """``is_leading``: asked before each look, so that a replica that has lost the lease does nothing more."""

    def __init__(self, world: World, is_leading: Callable[[], bool]) -> None:
        self._world = world
        self._is_leading = is_leading
        self._carers = {kind: carer(world) for kind, carer in CARERS.items()}

    async def look(self, key: Key) -> float | None:
        """Look at one object: in how many seconds to look again, or None. Raises `Later`, and what is unexpected."""
        if not self._is_leading():
            raise Later("another replica leads")
        resource = await self._world.cluster.get(key)
        if resource is None:
            for concerned in self._world.store.drop(key):
                self._world.mark(concerned)
            return None
        try:
            return await self._looked_at(resource)
        except (Stale, Conflict) as error:
            raise Later(str(error)) from None

    async def _looked_at(self, resource: Resource) -> float | None:
        carer = self._carers[resource.key.kind]
        if resource.deleting and not resource.is_ours:
            return None
        try:
            if not resource.deleting:
                return await carer.care(await self._world.cluster.hold(resource))
            again = await carer.undo(resource)
            if again is None:
                await self._world.cluster.release(resource)
        except Conflict:
            raise
        except EngineError as error:
            await carer.tell(resource, error)
            raise Later(error.message) from None
        return again
