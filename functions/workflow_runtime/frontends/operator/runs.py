"""Caring for WorkflowRuns: each is one execution, which its status follows."""

from __future__ import annotations

import logging

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.client.errors import Conflict, EngineError, NotFound, Unavailable
from workflow_runtime.frontends.operator.caring import Carer
from workflow_runtime.frontends.operator.conditions import Condition
from workflow_runtime.frontends.operator.deciding import (
    RunDeletion,
    has_ended,
    run_conditions,
    run_deletion,
    run_status,
)
from workflow_runtime.frontends.operator.resources import Resource
from workflow_runtime.frontends.operator.work_queue import Later

FOLLOW_SECONDS = 5.0  # between looks at an execution that runs
STARTING = "Starting"

logger = logging.getLogger(__name__)


class Runs(Carer):
    async def care(self, resource: Resource) -> float | None:
        if has_ended(resource.status):
            return None
        world = self._world
        execution_id = resource.status.get("executionId") or await self._started(resource)
        if execution_id is None:
            return None
        try:
            document = await world.api.execution(execution_id)
        except NotFound:
            gone = Condition("Failed", True, "ExecutionGone", f"the runtime has no execution {execution_id}")
            await world.write(resource, dict(resource.status), gone)
            return None
        await world.write(resource, run_status(document), *run_conditions(document))
        ended = ExecutionStatus(document["status"]).terminal
        return None if ended else min(FOLLOW_SECONDS, world.resync_seconds)

    async def _started(self, resource: Resource) -> str | None:
        """The object's execution; None: its start was refused for good."""
        world = self._world
        if resource.status.get("phase") != STARTING:
            # Said before the start: whoever finds the object deleted must know that there may be an execution.
            await world.cluster.write_status(resource, {"phase": STARTING})
            raise Later("its start was announced")
        try:
            return await self._start(resource)
        except (Unavailable, Conflict, NotFound) as error:
            reason = "WorkflowNotFound" if isinstance(error, NotFound) else "Unavailable"
            await world.write(resource, {"phase": STARTING}, Condition("Started", False, reason, error.message))
            raise Later(error.message) from None
        except EngineError as error:
            await world.write(resource, {"phase": "Failed"}, Condition("Failed", True, "Refused", error.message))
            return None

    async def _start(self, resource: Resource) -> str:
        """The same execution however often it is asked for: the object's uid is the key of the start."""
        spec = resource.spec
        return await self._world.api.start(
            resource.claim, spec.get("input") or {}, version=spec.get("version"), idempotency_key=_key(resource)
        )

    async def undo(self, resource: Resource) -> float | None:
        if has_ended(resource.status) or run_deletion(resource) is RunDeletion.RETAIN:
            return None
        execution_id = resource.status.get("executionId")
        try:
            if execution_id is None and resource.status.get("phase") == STARTING:
                execution_id = await self._start(resource)  # the one there may be, or else one that does nothing
            if execution_id is not None:
                reason = f"the WorkflowRun {resource.key.name} was deleted"
                await self._world.api.control("cancel", execution_id, reason, key=_key(resource), said={})
        except Unavailable:
            raise
        except EngineError as error:  # it has ended, or there never was one
            logger.info("%s: %s", resource.key.name, error.message)
        return None

    async def tell(self, resource: Resource, error: EngineError) -> None:
        """Its status tells of its execution, and that is not known now; the log says why."""
        logger.warning("%s: %s", resource.key.name, error.message)


def _key(resource: Resource) -> str:
    return f"kubernetes-{resource.uid}"
