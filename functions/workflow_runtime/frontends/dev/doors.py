"""The paths that `awr dev` serves besides the API: ``POST /dev/events`` puts an event on the embedded bus,
``GET /dev/logs`` gives the last log lines of an execution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.frontends.api.answers import json_answer, problem_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.models import BusEventRequest
from workflow_runtime.frontends.api.problems import Problem, problem_of
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.dev.recent import RecentLines
from workflow_runtime.frontends.server.gateway import Answering
from workflow_runtime.ports import Bus
from workflow_runtime.services.intake.signals import publish_event

EVENTS_PATH = "/dev/events"
LOGS_PATH = "/dev/logs"


class BusDoor:
    """``POST /dev/events``; everything else goes to the API's handler, which ``handler`` returns: it may change."""

    def __init__(self, bus: Bus, handler: Callable[[], Answering]) -> None:
        self._bus = bus
        self._handler = handler

    async def __call__(self, event: dict[str, Any], context: Any) -> Any:
        if event["rawPath"] != EVENTS_PATH:
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


class LogDoor:
    """``GET /dev/logs?execution_id=…`` between ``start`` and ``end``; everything else goes on to ``inner``."""

    def __init__(self, recent: RecentLines, inner: Answering) -> None:
        self._recent = recent
        self._inner = inner

    async def __call__(self, event: dict[str, Any], context: Any) -> Any:
        if event["rawPath"] != LOGS_PATH:
            return await self._inner(event, context)
        query = event.get("queryStringParameters", {})
        try:
            lines = self._recent.of(query["execution_id"], int(query["start"]), int(query["end"]))
        except (KeyError, ValueError):
            return problem_answer(
                Problem("invalid_request", f"{LOGS_PATH} takes execution_id, start and end (epoch ms)")
            ).event()
        return json_answer({"lines": lines}).event()
