"""One request about many executions of a workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor
from workflow_runtime.frontends.api.operator_models import BulkRequest
from workflow_runtime.frontends.api.parameters import PAGE_ITEMS_MAX, ControlKey, Cursor, Limit, WorkflowId
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.control.bulk import Selection
from workflow_runtime.services.control.operations import Operation

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


class Bulks:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def operation(self, operation: Operation) -> Callable[..., Awaitable[Answer]]:
        """What serves the route of an operation."""

        async def ask(
            request: Request,
            workflow_id: WorkflowId,
            limit: Limit = PAGE_ITEMS_MAX,
            cursor: Cursor = None,
            idempotency_key: ControlKey = None,
        ) -> Answer:
            body = parsed_body(request, BulkRequest)
            selection = Selection(workflow_id, tuple(body.status), body.older_than, body.dry_run)
            of = ("bulk", operation.name, workflow_id, *selection.statuses, body.older_than, str(body.dry_run))
            found = await self._runtime.ports.offload(
                self._runtime.bulk.ask,
                operation.name,
                selection,
                idempotency_key,
                limit,
                decode_cursor(of, cursor),
                reason=body.reason,
                by=request.caller,
                said=body.fields,
            )
            more = encode_cursor(of, found.next) if found.next is not None else None
            return json_answer({**found.json(), "next_cursor": more})

        ask.__doc__ = (
            f"Ask the same of many executions of a workflow, a page at a time: {operation.name}. Each request has a key"
            " made of this one's, which the cursor carries on, so that nothing is asked twice."
        )
        return ask
