"""The operations on an execution as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.executions import check_id, execution_url
from workflow_runtime.frontends.api.operator_models import ControlRequest, RetryRequest, SkipRequest
from workflow_runtime.frontends.api.parameters import ControlKey, ExecutionId
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.control.requests import Ask

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


class Controls:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def cancel(self, request: Request, execution_id: ExecutionId, idempotency_key: ControlKey = None) -> Answer:
        """Cancel an execution, and the executions whose end it awaits: waiting work is dropped, running work is told,
        late results are ignored.
        """
        body = parsed_body(request, ControlRequest)
        return await self._asked(request, _ask(request, execution_id, "cancel", idempotency_key, body))

    async def retry(self, request: Request, execution_id: ExecutionId, idempotency_key: ControlKey = None) -> Answer:
        """Have an execution that has ended go on: what failed, was cancelled, or was skipped because of that runs
        again, and what succeeded is kept.

        `from` names a node of the graph at the top that runs again with all after it, also after success. The execution
        goes on with the version that it began with, and has its whole `timeout` again; its `attempt` is one more.
        """
        body = parsed_body(request, RetryRequest)
        ask = _ask(request, execution_id, "retry", idempotency_key, body)
        return await self._asked(request, replace(ask, node=body.from_, variables=body.variables))

    async def skip(self, request: Request, execution_id: ExecutionId, idempotency_key: ControlKey = None) -> Answer:
        """Have an execution go on without a node that waits or, once it has failed, that has failed; with an `output`,
        as if the node had succeeded.
        """
        body = parsed_body(request, SkipRequest)
        ask = _ask(request, execution_id, "skip", idempotency_key, body)
        output = body.output if "output" in body.model_fields_set else UNSET
        return await self._asked(request, replace(ask, node=body.node, output=output))

    async def _asked(self, request: Request, ask: Ask) -> Answer:
        check_id(ask.execution_id)
        asked = await self._runtime.ports.offload(self._runtime.control.ask, ask)
        if not asked.changed:
            return json_answer(asked.json())
        return json_answer(asked.json(), 202, {"Location": execution_url(request, ask.execution_id)})


def _ask(request: Request, execution_id: str, operation: str, key: str | None, body: ControlRequest) -> Ask:
    return Ask(execution_id=execution_id, operation=operation, reason=body.reason, key=key, by=request.caller)
