"""Dead letters: what was given up, and bringing it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from workflow_runtime.frontends.api import operator_models
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor, page
from workflow_runtime.frontends.api.operator_models import RedriveRequest
from workflow_runtime.frontends.api.parameters import PAGE_ITEMS_DEFAULT, Cursor, Limit, check_id
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import Route, json_reply

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

REDRIVE_BODY = "which dead letters"
OfExecution = Annotated[
    str | None, Query(min_length=1, max_length=64, description="Only those that name this execution.")
]


class DeadLetterRoutes:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def listing(
        self,
        request: Request,  # noqa: ARG002
        execution: OfExecution = None,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """What was given up: messages that their queue gave up, and events that could not be taken or sent; the first
        sent first.
        """
        from workflow_runtime.services.upkeep.redrive import letter_json  # with it comes what is brought back

        of = ("dead-letters", execution or "")
        read = self._runtime.documents.list_dead_letters
        after = decode_cursor(of, cursor)
        found, next = await self._runtime.ports.offload(read, execution, limit, after)
        more = encode_cursor(of, next) if next is not None else None
        return json_answer(page(list(map(letter_json, found)), more))

    async def redrive(self, request: Request, limit: Limit = PAGE_ITEMS_DEFAULT, cursor: Cursor = None) -> Answer:
        """Bring dead letters back, a page of them, those of one execution in the order in which they were sent. What
        was brought back is marked, and left by later requests.
        """
        from workflow_runtime.services.upkeep.redrive import redriven_json

        body = parsed_body(request, RedriveRequest)
        if body.execution_id is not None:
            check_id(body.execution_id)
        of = ("redrive", body.execution_id or "", str(body.dry_run))
        after = decode_cursor(of, cursor)
        found = await self._runtime.ports.offload(
            self._runtime.redrive.redrive, body.execution_id, limit, after, dry_run=body.dry_run
        )
        more = encode_cursor(of, found.next) if found.next is not None else None
        return json_answer(page(list(map(redriven_json, found.letters)), more))


def dead_letter_routes(runtime: Runtime) -> tuple[Route, ...]:
    letters = DeadLetterRoutes(runtime)
    listed = json_reply(operator_models.DeadLetterPage, "Dead letters")
    redriven = json_reply(operator_models.RedrivePage, "What became of the dead letters of this page")
    return (
        Route("GET", "/dead-letters", letters.listing, "listDeadLetters", (listed,), (404, 422)),
        Route(
            "POST",
            "/dead-letters/redrive",
            letters.redrive,
            "redriveDeadLetters",
            (redriven,),
            (400, 404, 413, 415, 422),
            REDRIVE_BODY,
            body_model=RedriveRequest,
        ),
    )
