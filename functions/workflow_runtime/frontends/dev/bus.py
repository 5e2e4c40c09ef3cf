"""A door to the embedded bus: ``POST /dev/events`` puts an event on it. Everything else goes to the API's handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from workflow_runtime.frontends.api.answers import json_answer, problem_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.models import BusEventRequest
from workflow_runtime.frontends.api.problems import Problem, problem_of
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.ports import Bus
from workflow_runtime.services.intake.signals import publish_event

PATH = "/dev/events"

Answering = Callable[[dict[str, Any], Any], Awaitable[Any]]


class BusDoor:
    """``handler`` is asked for at every request, so that it may be exchanged."""

    def __init__(self, bus: Bus, handler: Callable[[], Answering]) -> None:
        self._bus = bus
        self._handler = handler

    async def __call__(self, event: dict[str, Any], context: Any) -> Any:
        if event["rawPath"] != PATH:
            return await self._handler()(event, context)
        try:
            return self._take(Request.of(event))
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            return problem_answer(problem).event()

    def _take(self, request: Request) -> dict[str, Any]:
        if request.method != "POST":
            raise Problem("method_not_allowed", "this path takes POST", headers={"Allow": "POST"})
        body = parsed_body(request, BusEventRequest)
        publish_event(self._bus, body.source, body.detail_type, body.detail)
        return json_answer({"accepted": True}, 202).event()
