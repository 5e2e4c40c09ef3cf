"""The operations on an execution as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.executions import execution_url
from workflow_runtime.frontends.api.models import ControlRequest
from workflow_runtime.frontends.api.parameters import ControlKey, ExecutionId, check_id
from workflow_runtime.frontends.api.request import Request

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


class Controls:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def cancel(self, request: Request, execution_id: ExecutionId, idempotency_key: ControlKey = None) -> Answer:
        """Cancel an execution, and the executions whose end it awaits: waiting work is dropped, running work is told,
        late results are ignored.
        """
        check_id(execution_id)
        body = parsed_body(request, ControlRequest)
        asked = await self._runtime.ports.offload(
            self._runtime.control.cancel, execution_id, body.reason, idempotency_key, by=request.caller
        )
        if not asked.changed:
            return json_answer(asked.json())
        return json_answer(asked.json(), 202, {"Location": execution_url(request, execution_id)})
