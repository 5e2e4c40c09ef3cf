"""The operations on sessions of agents: what there is, what was said, and forgetting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import msgspec
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BeforeValidator

from workflow_runtime.frontends.api import session_models
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.http import Place, decode_cursor, encode_cursor, fitted, page, sliced
from workflow_runtime.frontends.api.parameters import PAGE_ITEMS_DEFAULT, Cursor, Limit, Range
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import RANGE_HEADER, Reply, Route, json_reply

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

NAME_CHARS_MAX = 128  # of an agent, or a tenant

SessionId = Annotated[str, BeforeValidator(unquote), Path(description="`id` of a session, as lists give it.")]
OfAgent = Annotated[str | None, Query(min_length=1, max_length=NAME_CHARS_MAX, description="Only those of this agent.")]
OfTenant = Annotated[
    str | None,
    Query(max_length=NAME_CHARS_MAX, description="Only those of this tenant; empty: of executions without one."),
]
OfTurn = Annotated[int | None, Query(ge=1, description="With `range`: the number of the turn.")]


class Sessions:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def listing(
        self,
        request: Request,  # noqa: ARG002
        agent: OfAgent = None,
        tenant: OfTenant = None,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """Sessions, in the order of their agents and names. A page may have fewer items than there are: `next_cursor`
        tells."""
        of = ("sessions", agent or "", "-" if tenant is None else f"={tenant}")
        views, after = self._runtime.sessions, decode_cursor(of, cursor)
        found = await self._runtime.ports.offload(views.list, agent, tenant, limit, after)
        return json_answer(page(found.items, encode_cursor(of, found.next) if found.next is not None else None))

    async def get(
        self,
        request: Request,
        session_id: SessionId,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
        turn: OfTurn = None,
        range: Range = None,
    ) -> Answer:
        """A session, and page by page what its next visit is told. With `turn` and `range`, a slice of the messages of
        that turn."""
        views, of = self._runtime.sessions, ("session", session_id)
        if turn is not None or range is not None:
            said = await self._runtime.ports.offload(views.messages, session_id, turn or 1)
            return sliced(msgspec.json.encode(said), range or "0-")
        after = int(decode_cursor(of, cursor) or 0)
        document = await self._runtime.ports.offload(views.get, session_id, limit, after)
        following = document.pop("next")
        document["next_cursor"] = encode_cursor(of, str(following)) if following is not None else None
        url = f"{request.prefix}/sessions/{session_id}"
        told: Any = document["told"]
        return fitted(document, [Place(said, "messages", f"{url}?turn={said['number']}&range=0-") for said in told])

    async def delete(self, request: Request, session_id: SessionId) -> Answer:  # noqa: ARG002
        """Forget all that was said in a session. Nothing is remembered of a visit that works on it."""
        await self._runtime.ports.offload(self._runtime.sessions.delete, session_id)
        return Answer(204)


def session_routes(runtime: Runtime) -> tuple[Route, ...]:
    sessions, one = Sessions(runtime), "/sessions/<session_id>"
    part = Reply(206, "The slice", {"application/octet-stream": None}, RANGE_HEADER)
    shown = json_reply(session_models.SessionDetail, "The session")
    listed = json_reply(session_models.SessionPage, "Sessions")
    return (
        Route("GET", "/sessions", sessions.listing, "listSessions", (listed,), (404, 422)),
        Route("GET", one, sessions.get, "getSession", (shown, part), (404, 416, 422)),
        Route("DELETE", one, sessions.delete, "deleteSession", (Reply(204, "Forgotten"),), (404, 409, 422)),
    )
