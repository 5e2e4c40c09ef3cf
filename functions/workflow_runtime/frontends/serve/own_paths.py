"""The server's own paths: what supervisors, load balancers and Prometheus ask.

``/health/live``   answers as long as the event loop turns: who does not answer is to be restarted
``/health/ready``  503 while the server ends or its database cannot be read: who is not ready gets no requests
``/metrics``       see `metrics`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.errors import WorkflowRuntimeError
from workflow_runtime.frontends.api.answers import Answer, json_answer, problem_answer
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.server.gateway import Answering
from workflow_runtime.runtime.in_process import LocalRuntime

LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"
METRICS_PATH = "/metrics"


class OwnPaths:
    """Answers them; everything else goes on to ``inner``."""

    def __init__(
        self,
        runtime: LocalRuntime,
        is_ending: Callable[[], bool],
        metrics: Callable[[str], tuple[bytes, str]],
        inner: Answering,
    ) -> None:
        self._runtime = runtime
        self._is_ending = is_ending
        self._inner = inner
        self._answers: dict[str, Callable[[str], Answer]] = {
            LIVE_PATH: lambda _accept: json_answer({"status": "ok"}),
            READY_PATH: lambda _accept: self._ready(),
            METRICS_PATH: lambda accept: Answer(200, *metrics(accept)),
        }

    async def __call__(self, event: dict[str, Any], context: Any) -> Any:
        answer = self._answers.get(event["rawPath"])
        if answer is None:
            return await self._inner(event, context)
        method = event["requestContext"]["http"]["method"]
        if method not in ("GET", "HEAD"):
            problem = Problem("method_not_allowed", "this path takes GET, HEAD", headers={"Allow": "GET, HEAD"})
            return problem_answer(problem).event()
        return answer(event["headers"].get("accept", "")).event(method)

    def _ready(self) -> Answer:
        if self._is_ending():
            return json_answer({"status": "ending"}, 503)
        try:
            self._runtime.services.stores.workflows.list(1, None)
        except WorkflowRuntimeError:
            return json_answer({"status": "the database cannot be read"}, 503)
        return json_answer({"status": "ok"})
