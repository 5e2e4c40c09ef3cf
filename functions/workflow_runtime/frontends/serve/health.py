"""Whether the process lives, and whether it should get requests: what supervisors and load balancers ask.

``/health/live``   answers as long as the event loop turns: who does not answer is to be restarted
``/health/ready``  503 while the server ends or its database cannot be read: who is not ready gets no requests
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.errors import WorkflowRuntimeError
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.server.gateway import Answering
from workflow_runtime.runtime.in_process import LocalRuntime

LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"


class Health:
    """Answers the two paths; everything else goes on to ``inner``."""

    def __init__(self, runtime: LocalRuntime, is_ending: Callable[[], bool], inner: Answering) -> None:
        self._runtime = runtime
        self._is_ending = is_ending
        self._inner = inner

    async def __call__(self, event: dict[str, Any], context: Any) -> Any:
        match event["rawPath"]:
            case "/health/live":
                return json_answer({"status": "ok"}).event()
            case "/health/ready":
                return self._ready().event()
            case _:
                return await self._inner(event, context)

    def _ready(self) -> Answer:
        if self._is_ending():
            return json_answer({"status": "ending"}, 503)
        try:
            self._runtime.services.stores.workflows.list(1, None)
        except WorkflowRuntimeError:
            return json_answer({"status": "the database cannot be read"}, 503)
        return json_answer({"status": "ok"})
