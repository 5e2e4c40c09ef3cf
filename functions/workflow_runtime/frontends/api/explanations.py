"""Why an execution does not go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.executions import check_id
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor
from workflow_runtime.frontends.api.parameters import PAGE_ITEMS_MAX, Cursor, ExecutionId, Limit
from workflow_runtime.frontends.api.request import Request

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

NODE_CHARS_MAX = 2_000

OfNode = Annotated[
    str | None,
    Query(min_length=1, max_length=NODE_CHARS_MAX, description="Only this node (its path), and what it waits for."),
]


class Whys:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def explain(
        self,
        request: Request,  # noqa: ARG002
        execution_id: ExecutionId,
        node: OfNode = None,
        limit: Limit = PAGE_ITEMS_MAX,
        cursor: Cursor = None,
    ) -> Answer:
        """What an execution waits for: each node that has not ended, since when, until when, and what would move it;
        the states it is in and what they listen to; events kept for later waits. Nodes that wait for other nodes come
        last.
        """
        check_id(execution_id)
        of = ("why", execution_id)
        after = int(decode_cursor(of, cursor) or 0)
        explanations, offload = self._runtime.explanations, self._runtime.ports.offload
        if node is not None:
            found = await offload(explanations.why_node, execution_id, node)
        else:
            found = await offload(explanations.why, execution_id, limit, after)
        more = encode_cursor(of, str(found.next)) if found.next is not None else None
        return json_answer({**found.json(), "next_cursor": more})
