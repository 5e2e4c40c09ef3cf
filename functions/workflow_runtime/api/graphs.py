"""The operation that draws a workflow, and marks in the drawing how far an execution is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from workflow_runtime.api.answers import Answer, json_answer
from workflow_runtime.api.executions import EXECUTION_ID
from workflow_runtime.api.parameters import GraphFormat, WorkflowId
from workflow_runtime.api.problems import Problem
from workflow_runtime.api.request import Request
from workflow_runtime.plan import Plan

if TYPE_CHECKING:
    from workflow_runtime.runtime import Runtime

MERMAID_TYPE = "text/vnd.mermaid; charset=utf-8"

OfExecution = Annotated[str | None, Query(description="Draw this execution's version and mark its nodes' statuses.")]


class Graphs:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def draw(
        self, request: Request, workflow_id: WorkflowId, format: GraphFormat = None, execution: OfExecution = None
    ) -> Answer:
        """A workflow's graph as a Mermaid flowchart or as JSON; of an execution, also when the workflow was removed."""
        if execution is None:
            version = await self._runtime.ports.offload(self._runtime.catalog.version, workflow_id)
            plan = await self._runtime.ports.offload(self._runtime.catalog.plan, version)
            statuses: dict[str, str] = {}
        else:
            plan, statuses = await self._runtime.ports.offload(self._progress, workflow_id, execution)
        if (format or _accepted(request)) == "json":
            return json_answer(_graph_json(plan, statuses), headers={"Vary": "Accept"})
        from workflow_runtime.compiler.graphs import render  # the compiler takes as long to import as all the rest

        return Answer(200, render(plan, "mermaid", statuses).encode(), MERMAID_TYPE, {"Vary": "Accept"})

    def _progress(self, workflow_id: str, execution_id: str) -> tuple[Plan, dict[str, str]]:
        if EXECUTION_ID.fullmatch(execution_id):
            header = self._runtime.queries.header(execution_id)
            if header.workflow_id == workflow_id:
                return self._runtime.queries.plan(header.plan_hash), self._runtime.queries.statuses(header)
        raise Problem("not_found", f"there is no execution {execution_id!r}")


def _accepted(request: Request) -> str:
    """The first of the two formats that Accept names."""
    accept = request.headers.get("accept", "")
    places = {"json": accept.find("application/json"), "mermaid": accept.find("text/")}
    named = [(place, name) for name, place in places.items() if place >= 0]
    return min(named)[1] if named else "mermaid"


def _graph_json(plan: Plan, statuses: dict[str, str]) -> dict[str, Any]:
    from workflow_runtime.compiler.graphs.picture import picture

    drawn = picture(plan, statuses)
    return {
        "workflow_id": plan.workflow_id,
        "title": drawn.title,
        "nodes": [
            {
                "id": box.id,
                "title": box.title,
                "kind": box.kind,
                "detail": box.detail,
                "status": box.status or None,
                "level": box.level,
            }
            for box in drawn.boxes
        ],
        "edges": [
            {
                "source": drawn.boxes[arrow.source].id,
                "target": drawn.boxes[arrow.target].id,
                "label": arrow.label,
                "orders": arrow.orders,
            }
            for arrow in drawn.arrows
        ],
    }
