"""What caring for an object of any kind has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from workflow_runtime.frontends.client.errors import Conflict, EngineError, NotFound, Unavailable
from workflow_runtime.frontends.operator.cluster import Cluster
from workflow_runtime.frontends.operator.conditions import Condition, conditions_json
from workflow_runtime.frontends.operator.deciding import DeletionPolicy, Seen, deletion_policy
from workflow_runtime.frontends.operator.resources import Key, Kind, Resource
from workflow_runtime.frontends.operator.runtime_api import RuntimeApi
from workflow_runtime.frontends.operator.store import Store


class World(msgspec.Struct, frozen=True):
    """What carers work with.

    ``cluster``: the Kubernetes API.
    ``api``: the runtime's API.
    ``store``: all objects as the watches have told; the object that is cared for is always read anew.
    ``mark``: has another object looked at.
    ``now``: the time in ISO 8601, in whole seconds.
    ``resync_seconds``: between looks at what nobody has changed.
    """

    cluster: Cluster
    api: RuntimeApi
    store: Store
    mark: Callable[[Key], None]
    now: Callable[[], str]
    resync_seconds: float

    async def write(self, resource: Resource, status: dict[str, Any], *conditions: Condition) -> None:
        """Give an object this status, with these conditions and no others. Raises `cluster.Stale`."""
        written = conditions_json(
            resource.status.get("conditions", []), conditions, generation=resource.generation, now=self.now()
        )
        whole = {**status, "observedGeneration": resource.generation, "conditions": written}
        await self.cluster.write_status(resource, msgspec.to_builtins(whole))


NOUNS = {Kind.WORKFLOW: "workflow", Kind.AGENT: "agent", Kind.LIMIT: "limiter"}
"""What the runtime has one of under an id, and several objects may claim."""


class Remove(Protocol):
    """Publish something no more, as it was seen. Raises `NotFound`, `Conflict`."""

    def __call__(self, id: str, over: Seen, /, *, force: bool) -> Awaitable[None]: ...


class Carer(ABC):
    """Cares for the objects of one kind. Methods raise `EngineError`, `cluster.Stale`, `work_queue.Later`."""

    def __init__(self, world: World) -> None:
        self._world = world

    @abstractmethod
    async def care(self, resource: Resource) -> float | None:
        """Bring about what an object says: in how many seconds to look again, or None."""

    @abstractmethod
    async def undo(self, resource: Resource) -> float | None:
        """Undo it, as the object was deleted: in how many seconds to look again, or None, and nothing is left."""

    async def is_taken(self, resource: Resource) -> bool:
        """Whether what the object claims is another's, which claimed it first; its status then says so."""
        world, kind = self._world, resource.key.kind
        owner = world.store.owner(kind, resource.claim)
        if owner is None or owner.seniority >= resource.seniority:
            return False
        taken = f"the {NOUNS[kind]} {resource.claim} is that of the object {owner.key.name}"
        await world.write(resource, {}, Condition("Ready", False, "Duplicate", taken))
        return True

    async def unpublish(
        self, resource: Resource, see: Callable[[str], Awaitable[Seen | None]], remove: Remove
    ) -> float | None:
        """`undo` of an object whose definition is published, as its deletion policy has it. ``see``: what is published
        under an id; None: nothing."""
        world, policy = self._world, deletion_policy(resource)
        if world.store.owner(resource.key.kind, resource.claim) is not None or policy is DeletionPolicy.RETAIN:
            return None  # another object goes on with it
        seen = await see(resource.claim)
        if seen is None:
            return None
        try:
            await remove(resource.claim, seen, force=policy is DeletionPolicy.FORCE)
        except NotFound:
            return None
        except Conflict as error:
            await world.write(resource, kept(resource), Condition("Ready", False, "DeletionWaits", error.message))
            return world.resync_seconds
        return None

    async def tell(self, resource: Resource, error: EngineError) -> None:
        """Have the status say what the runtime said. What was done before stays done, and stays there."""
        reason = "Unavailable" if isinstance(error, Unavailable) else "Refused"
        await self._world.write(resource, kept(resource), Condition("Ready", False, reason, error.message))


def kept(resource: Resource) -> dict[str, Any]:
    """The status without its conditions."""
    return {name: value for name, value in resource.status.items() if name != "conditions"}
