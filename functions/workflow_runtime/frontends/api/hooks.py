"""The webhooks: requests that carry their own proof and start executions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BeforeValidator

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import hook_body
from workflow_runtime.frontends.api.parameters import WorkflowId
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.intake.webhooks import Call

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

Endpoint = Annotated[
    str, BeforeValidator(unquote), Path(description="The endpoint that a webhook trigger of the workflow names.")
]


class Hooks:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def receive(self, request: Request, workflow_id: WorkflowId, endpoint: Endpoint) -> Answer:
        """Start the execution that a webhook trigger asks for. `X-Signature` is the HMAC-SHA256 of
        `<X-Timestamp>.<body>` in hexadecimal, `X-Timestamp` the present in epoch seconds; a signature counts once.
        """
        webhooks, offload = self._runtime.webhooks, self._runtime.ports.offload
        call = Call(workflow_id, endpoint, request.method, request.headers, dict(request.query), request.body)
        accepted = await offload(webhooks.accept, call)
        execution_id = await offload(webhooks.start, accepted, hook_body(request))
        return json_answer({"execution_id": execution_id}, 202)
