"""The operation that draws a workflow, and marks in the drawing how far an execution is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from aws_lambda_powertools.event_handler.openapi.params import Query

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.executions import EXECUTION_ID
from workflow_runtime.frontends.api.parameters import GraphFormat, WorkflowId
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.plan.plan import Plan

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

Current: TypeAlias = Mapping[str, Collection[str]]
"""Names of active leaf states by the path of their chart."""

TYPES = {
    "mermaid": "text/vnd.mermaid",
    "dot": "text/vnd.graphviz",
    "svg": "image/svg+xml",
    "text": "text/plain",
}
"""Media types by format; JSON besides."""

OfExecution = Annotated[str | None, Query(description="Draw this execution's version and mark its nodes' statuses.")]


class Graphs:
    """Draws in a thread of its own, one drawing after the other: the event loop serves everybody else meanwhile."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._artist = ThreadPoolExecutor(1, thread_name_prefix="drawing")

    async def draw(
        self, request: Request, workflow_id: WorkflowId, format: GraphFormat = None, execution: OfExecution = None
    ) -> Answer:
        """A workflow's graph as a Mermaid flowchart (a state diagram, if it has states), for Graphviz, as SVG, as text,
        or as JSON; of an execution, also when the workflow was removed."""
        if execution is None:
            version = await self._runtime.ports.offload(self._runtime.catalog.version, workflow_id)
            plan = await self._runtime.ports.offload(self._runtime.catalog.plan, version)
            statuses: dict[str, str] = {}
            current: Current = {}
        else:
            plan, statuses, current = await self._runtime.ports.offload(self._progress, workflow_id, execution)
        chosen = format or _accepted(request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._artist, _answer, plan, chosen, statuses, current)

    def _progress(self, workflow_id: str, execution_id: str) -> tuple[Plan, dict[str, str], Current]:
        queries = self._runtime.queries
        if EXECUTION_ID.fullmatch(execution_id):
            header = queries.header(execution_id)
            if header.workflow_id == workflow_id:
                plan = queries.plan(header.plan_hash)
                return plan, queries.statuses(header), queries.current_states(header) if plan.charts else {}
        raise Problem("not_found", f"there is no execution {execution_id!r}")


def _answer(plan: Plan, format: str, statuses: dict[str, str], current: Current) -> Answer:
    headers = {"Vary": "Accept"}
    if format == "json":
        shape = _chart_json(plan, statuses, current) if plan.charts else _graph_json(plan, statuses)
        return json_answer(shape, headers=headers)
    from workflow_runtime.drawing import render  # the compiler takes as long to import as all the rest

    drawing = render(plan, format, statuses, current)
    return Answer(200, drawing.encode(), f"{TYPES[format]}; charset=utf-8", headers)


def _accepted(request: Request) -> str:
    """JSON or mermaid, whichever Accept names first."""
    accept = request.headers.get("accept", "")
    places = {"json": accept.find("application/json"), "mermaid": accept.find("text/")}
    named = [(place, name) for name, place in places.items() if place >= 0]
    return min(named)[1] if named else "mermaid"


def _graph_json(plan: Plan, statuses: dict[str, str]) -> dict[str, Any]:
    from workflow_runtime.drawing.picture import picture

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


def _chart_json(plan: Plan, statuses: dict[str, str], current: Current) -> dict[str, Any]:
    """States and nodes by path; each names what it is ``inside`` of."""
    from workflow_runtime.drawing.chart import drawing

    drawn = drawing(plan, statuses, current)
    shown = [item for item in drawn.items if item.kind != "initial"]
    dots = {number: item.parent for number, item in enumerate(drawn.items) if item.kind == "initial"}
    return {
        "workflow_id": plan.workflow_id,
        "title": drawn.title,
        "nodes": [
            {
                "id": item.id,
                "title": item.title,
                "kind": item.kind,
                "detail": item.detail,
                "status": item.status or None,
                "inside": drawn.items[item.parent].id if item.parent >= 0 else None,
                "notes": list(item.notes),
            }
            for item in shown
        ],
        "edges": [
            {
                "source": drawn.items[link.source].id,
                "target": drawn.items[link.target].id,
                "label": link.label,
                "orders": link.orders,
            }
            for link in drawn.links
            if link.source not in dots
        ],
        "initial": [drawn.items[link.target].id for link in drawn.links if link.source in dots],
    }
