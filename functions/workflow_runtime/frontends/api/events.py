"""The operation that sends an event to an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.executions import check_id, execution_url
from workflow_runtime.frontends.api.models import EventRequest
from workflow_runtime.frontends.api.parameters import EventKey, ExecutionId, Wait
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.sizes import Place, fitted
from workflow_runtime.frontends.api.waiting import wait_until
from workflow_runtime.services.intake.signals import Sent, accepted_json

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


class Events:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def send(
        self, request: Request, execution_id: ExecutionId, wait: Wait = 0, idempotency_key: EventKey = None
    ) -> Answer:
        """Send an event to an execution; with `wait`, what it did there, once that is known in time: the new states,
        or why nothing happened.
        """
        check_id(execution_id)
        body = parsed_body(request, EventRequest)
        signalling = self._runtime.signalling
        sent = await self._runtime.ports.offload(
            signalling.send, execution_id, body.event, body.data, idempotency_key, watched=wait > 0
        )
        result = await self._result(sent, wait) if wait else None
        if result is None:
            return json_answer(accepted_json(sent), 202, {"Location": execution_url(request, execution_id)})
        return fitted(
            result, [Place(result, "variables", f"{execution_url(request, execution_id)}?include=variables&range=0-")]
        )

    async def _result(self, sent: Sent, seconds: float) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            result = await self._runtime.ports.offload(self._runtime.signalling.result, sent)
            found.extend([result] if result is not None else [])
            return bool(found)

        await wait_until(self._runtime, seconds, look)
        return found[0] if found else None
