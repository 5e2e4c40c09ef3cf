"""The operations on task tokens. Whoever has a token may speak; it stands in the body, never in a URL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.people_models import CompleteRequest, FailRequest, TaskRequest
from workflow_runtime.frontends.api.request import Request

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


class Tasks:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def complete(self, request: Request) -> Answer:
        """Complete a node with an output, also while its code still runs. A token counts once."""
        from workflow_runtime.services.intake.tasks import completion  # with it comes the engine

        body = parsed_body(request, CompleteRequest)
        tasks, offload = self._runtime.tasks, self._runtime.ports.offload
        data = await asyncio.to_thread(completion, body.token, body.output)
        return _answered(await offload(tasks.complete_with, body.token, data, by=request.caller))

    async def fail(self, request: Request) -> Answer:
        """Fail a node's attempt; its retry policy goes on."""
        body = parsed_body(request, FailRequest)
        tasks, offload = self._runtime.tasks, self._runtime.ports.offload
        return _answered(await offload(tasks.fail, body.token, body.type, body.message, by=request.caller))

    async def heartbeat(self, request: Request) -> Answer:
        """Show that the work goes on."""
        body = parsed_body(request, TaskRequest)
        await self._runtime.ports.offload(self._runtime.tasks.heartbeat, body.token)
        return json_answer({"changed": True})


def _answered(changed: bool) -> Answer:
    return json_answer({"changed": changed}, 202 if changed else 200)
