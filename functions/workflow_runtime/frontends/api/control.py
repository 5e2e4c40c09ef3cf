"""The operations on an execution as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.executions import execution_url
from workflow_runtime.frontends.api.operator_models import ControlRequest, RetryRequest, SkipRequest
from workflow_runtime.frontends.api.parameters import ControlKey, ExecutionId, check_id
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.control.operations import Operation

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

CONTROL_BODIES: dict[str, type[ControlRequest]] = {"retry": RetryRequest, "skip": SkipRequest}
"""Bodies of operations that take more than a reason, by the operation's name."""


def control_body(operation: str) -> type[ControlRequest]:
    """The model of an operation's body."""
    return CONTROL_BODIES.get(operation, ControlRequest)


class Controls:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def operation(self, operation: Operation) -> Callable[..., Awaitable[Answer]]:
        """What serves the route of an operation."""

        async def ask(request: Request, execution_id: ExecutionId, idempotency_key: ControlKey = None) -> Answer:
            check_id(execution_id)
            body = parsed_body(request, control_body(operation.name))
            said = body.model_dump(exclude_unset=True, by_alias=True, exclude={"reason"})
            asked = await self._runtime.ports.offload(
                self._runtime.control.ask,
                operation.name,
                execution_id,
                body.reason,
                idempotency_key,
                by=request.caller,
                said=said,
            )
            if not asked.changed:
                return json_answer(asked.json())
            return json_answer(asked.json(), 202, {"Location": execution_url(request, execution_id)})

        ask.__doc__ = operation.summary
        return ask
