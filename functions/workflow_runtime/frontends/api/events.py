"""The operations that bring something in from outside: events for executions, and webhooks, which start some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BeforeValidator

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import hook_body, parsed_body
from workflow_runtime.frontends.api.executions import execution_url
from workflow_runtime.frontends.api.http import Place, fitted
from workflow_runtime.frontends.api.models import EventRequest
from workflow_runtime.frontends.api.parameters import EventKey, ExecutionId, Wait, WorkflowId, check_id
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.waiting import wait_until
from workflow_runtime.services.intake.signals import Sent, accepted_json
from workflow_runtime.services.intake.webhooks import Call

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


Endpoint = Annotated[
    str, BeforeValidator(unquote), Path(description="The endpoint that a webhook trigger of the workflow names.")
]


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

    async def receive(self, request: Request, workflow_id: WorkflowId, endpoint: Endpoint) -> Answer:
        """Start the execution that a webhook trigger asks for. `X-Signature` is the HMAC-SHA256 of
        `<X-Timestamp>.<method> <path and query>.<body>` in hexadecimal, the path decoded, `X-Timestamp` the present in
        epoch seconds; a signature counts once.
        """
        webhooks, offload = self._runtime.webhooks, self._runtime.ports.offload
        call = Call(
            workflow_id, endpoint, request.method, request.headers, dict(request.query), request.body, request.raw_query
        )
        accepted = await offload(webhooks.accept, call)
        execution_id = await offload(webhooks.start, accepted, hook_body(request))
        return json_answer({"execution_id": execution_id}, 202)

    async def _result(self, sent: Sent, seconds: float) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            result = await self._runtime.ports.offload(self._runtime.signalling.result, sent)
            found.extend([result] if result is not None else [])
            return bool(found)

        await wait_until(self._runtime, seconds, look)
        return found[0] if found else None
