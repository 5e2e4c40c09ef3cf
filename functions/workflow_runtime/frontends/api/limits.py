"""Limiters: what they allow, what is taken of them, and who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BeforeValidator

from workflow_runtime.frontends.api import limit_models
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.limit_models import LimiterRequest, LimitsRequest
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import Route, json_reply

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

LIMITER_BODY = "what limiters allow"

Name = Annotated[
    str,
    BeforeValidator(unquote),
    Path(description="Name of the limiter, `WORKFLOW/NAME` for a workflow's own; percent-encoded."),
]


class Limiters:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def listing(self, request: Request) -> Answer:  # noqa: ARG002
        """All limiters."""
        return json_answer({"items": await self._runtime.ports.offload(self._runtime.limits.list)})

    async def declare(self, request: Request) -> Answer:
        """Declare the limiters that all workflows share, these and no others. What was set wins over it."""
        body = parsed_body(request, LimitsRequest)
        limits = {name: fields.model_dump(exclude_none=True) for name, fields in body.limits.items()}
        return json_answer({"items": await self._runtime.ports.offload(self._runtime.limits.declare_fields, limits)})

    async def get(self, request: Request, limiter: Name) -> Answer:  # noqa: ARG002
        """A limiter, what is taken of it, and who waits for it."""
        return json_answer(await self._runtime.ports.offload(self._runtime.limits.get, limiter))

    async def put(self, request: Request, limiter: Name) -> Answer:
        """Set a limiter, over what a file declares of it, in force within seconds; or, with `paused` alone, pause it or
        resume it. Setting the same again changes nothing."""
        fields = parsed_body(request, LimiterRequest).model_dump(exclude_none=True)
        return json_answer(await self._runtime.ports.offload(self._runtime.limits.put, limiter, fields))

    async def delete(self, request: Request, limiter: Name) -> Answer:  # noqa: ARG002
        """Set a limiter no more: what a file declares is in force again; what waits for one that is gone begins."""
        return json_answer(await self._runtime.ports.offload(self._runtime.limits.delete, limiter))


def limit_routes(runtime: Runtime) -> tuple[Route, ...]:
    limiters, one = Limiters(runtime), "/limits/<limiter>"
    detail = json_reply(limit_models.LimiterDetail, "The limiter, and who waits for it")
    listed = json_reply(limit_models.LimiterList, "All limiters")
    changed = json_reply(limit_models.Limiter, "The limiter as it is now")
    request, requests = limit_models.LimiterRequest, limit_models.LimitsRequest
    refusals = (400, 404, 413, 415, 422)
    return (
        Route("GET", "/limits", limiters.listing, "listLimits", (listed,), (422,)),
        Route(
            "PUT", "/limits", limiters.declare, "declareLimits", (listed,), refusals, LIMITER_BODY, body_model=requests
        ),
        Route("GET", one, limiters.get, "getLimit", (detail,), (404, 422)),
        Route("PUT", one, limiters.put, "putLimit", (changed,), refusals, LIMITER_BODY, body_model=request),
        Route("DELETE", one, limiters.delete, "deleteLimit", (changed,), (404, 422)),
    )
