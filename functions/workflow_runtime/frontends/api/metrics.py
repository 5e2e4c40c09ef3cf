"""`GET /metrics` of a deployment; `awr serve` answers the same path itself, from what it has seen."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from workflow_runtime.frontends.api.answers import Answer
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import Reply, Route

if TYPE_CHECKING:
    from workflow_runtime.frontends.metrics.deployed import DeployedMetrics
    from workflow_runtime.runtime.services import Runtime

TYPES = ("application/openmetrics-text", "text/plain")
PATH = "/metrics"


class Scrapes:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @cached_property
    def _metrics(self) -> DeployedMetrics:
        from workflow_runtime.frontends.metrics.deployed import DeployedMetrics  # few deployments are scraped

        return DeployedMetrics(self._runtime)

    async def answer(self, request: Request) -> Answer:
        """What happens in the deployment, for Prometheus: approximate sums, at most half a minute old."""
        if self._runtime.tally is None:
            raise Problem("not_found", "what is counted is kept by deployed functions, and by `awr serve`")
        accept = request.headers.get("accept", "")
        text, content_type = await self._runtime.ports.offload(self._metrics.text, accept)
        return Answer(200, text, content_type, {"Vary": "Accept"})


def metrics_route(runtime: Runtime) -> Route:
    told = Reply(200, "Metrics", dict.fromkeys(TYPES))
    return Route("GET", PATH, Scrapes(runtime).answer, "getMetrics", (told,), (404, 422))
