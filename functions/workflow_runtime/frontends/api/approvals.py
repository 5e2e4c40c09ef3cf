"""The operations on approvals: what people are asked, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import unquote

import msgspec
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from msgspec import UNSET
from pydantic import BeforeValidator

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.http import Place, decode_cursor, encode_cursor, fitted, page, sliced
from workflow_runtime.frontends.api.parameters import PAGE_ITEMS_DEFAULT, ControlKey, Cursor, Limit, Range
from workflow_runtime.frontends.api.people_models import AnswerRequest, DelegateRequest
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.views.approvals import wanted_of

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime
    from workflow_runtime.services.intake.approvals import Said

NAME_CHARS_MAX = 1_000

ApprovalId = Annotated[str, BeforeValidator(unquote), Path(description="`<execution>.<number>`")]
OfAssignee = Annotated[
    str | None,
    Query(min_length=1, max_length=NAME_CHARS_MAX, description="Only those that ask this person, or nobody by name."),
]
OfWorkflow = Annotated[str | None, Query(min_length=1, max_length=128, description="Only those of this workflow.")]
OlderThan = Annotated[
    str | None, Query(min_length=1, max_length=32, description="Only those that were asked so long ago: `1h`, `2d`.")
]
OfAnswer = Annotated[int | None, Query(ge=0, description="The place of an answer among the others, from 0 on.")]
Kind = Annotated[
    Literal["node", "tool", "effect", "guardrail", "budget"] | None,
    Query(description="Only those of a node, of a call of an agent, of whether one happened, of a check, of a budget."),
]
OfStatus = Annotated[Literal["open", "ended"], Query(description="Those that can be answered, or those that cannot.")]


class Approvals:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def listing(
        self,
        request: Request,  # noqa: ARG002
        assignee: OfAssignee = None,
        workflow: OfWorkflow = None,
        older_than: OlderThan = None,
        status: OfStatus = "open",
        kind: Kind = None,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """What people are asked, the newest first. A page may have fewer items than there are: `next_cursor` tells."""
        of = ("approvals", assignee or "", workflow or "", older_than or "", status, kind or "")
        wanted = wanted_of(self._runtime.ports.clock.now(), assignee, workflow, older_than, status, kind)
        views = self._runtime.approval_views
        found = await self._runtime.ports.offload(views.list, wanted, limit, decode_cursor(of, cursor))
        return json_answer(page(found.items, encode_cursor(of, found.next) if found.next is not None else None))

    async def get(
        self, request: Request, approval_id: ApprovalId, answer: OfAnswer = None, range: Range = None
    ) -> Answer:
        """One of them, with its form, the data that is shown, and all answers. With `range`, a slice of that data or,
        with `answer`, of what an answer changes in it.
        """
        document = await self._runtime.ports.offload(self._runtime.approval_views.get, approval_id)
        url, answers = f"{request.prefix}/approvals/{approval_id}", document["answers"]
        if range is not None:
            shown = document if answer is None else answers[answer] if answer < len(answers) else {}
            return sliced(msgspec.json.encode(shown.get("data")), range)
        places = [Place(document, "data", f"{url}?range=0-")]
        places += [
            Place(said, "data", f"{url}?answer={number}&range=0-")
            for number, said in enumerate(answers)
            if "data" in said
        ]
        return fitted(document, places)

    async def answer(self, request: Request, approval_id: ApprovalId, idempotency_key: ControlKey = None) -> Answer:
        """Approve or reject, in the caller's own name. `by` names somebody else, which only callers may do whom the
        deployment lists. `data` changes what was shown: of objects, the keys that are given.
        """
        body = parsed_body(request, AnswerRequest)
        said = await self._runtime.ports.offload(
            self._runtime.approvals.answer,
            approval_id,
            body.approved,
            by=self._speaker(request, body.by),
            asker=request.caller,
            data=body.data if "data" in body.model_fields_set else UNSET,
            comment=body.comment,
            key=idempotency_key,
        )
        return _answered(request, said)

    async def delegate(self, request: Request, approval_id: ApprovalId, idempotency_key: ControlKey = None) -> Answer:
        """Have somebody else asked in the caller's place."""
        body = parsed_body(request, DelegateRequest)
        said = await self._runtime.ports.offload(
            self._runtime.approvals.delegate,
            approval_id,
            body.to,
            by=self._speaker(request, body.by),
            asker=request.caller,
            reason=body.reason,
            key=idempotency_key,
        )
        return _answered(request, said)

    def _speaker(self, request: Request, by: str | None) -> str:
        from workflow_runtime.services.intake.approvals import speaker  # with it comes the engine

        return speaker(request.caller, by, self._runtime.callers.speaking_for_others)


def _answered(request: Request, said: Said) -> Answer:
    if not said.changed:
        return json_answer(said.json())
    return json_answer(said.json(), 202, {"Location": f"{request.prefix}/approvals/{said.approval_id}"})
