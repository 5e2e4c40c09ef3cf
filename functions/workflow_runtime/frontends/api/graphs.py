"""The operation that draws a workflow, and marks in the drawing how far an execution is."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.parameters import EXECUTION_ID, GraphFormat, WorkflowId
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.plan import Plan

if TYPE_CHECKING:
    from workflow_runtime.drawing import Drawing, Progress
    from workflow_runtime.runtime.services import Runtime

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
        offload = self._runtime.ports.offload
        if execution is None:
            version = await offload(self._runtime.catalog.version, workflow_id)
            plan, progress = await offload(self._runtime.catalog.plan, version), None
        else:
            plan, progress = await offload(self._progress, workflow_id, execution)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._artist, _answer, plan, format or _accepted(request), progress)

    def _progress(self, workflow_id: str, execution_id: str) -> tuple[Plan, Progress]:
        documents = self._runtime.documents
        if EXECUTION_ID.fullmatch(execution_id):
            header = documents.header(execution_id)
            if header.workflow_id == normalized(workflow_id):
                return documents.plan(header.plan_hash), documents.drawn_progress(header)
        raise Problem("not_found", f"there is no execution {execution_id!r}")


def _answer(plan: Plan, format: str, progress: Progress | None) -> Answer:
    from workflow_runtime.drawing import drawing_of, render  # few requests draw, and it takes its time to import

    headers = {"Vary": "Accept"}
    if format == "json":
        return json_answer(_json(plan, drawing_of(plan, progress)), headers=headers)
    return Answer(200, render(plan, format, progress).encode(), f"{TYPES[format]}; charset=utf-8", headers)


def _accepted(request: Request) -> str:
    """JSON or mermaid, whichever Accept names first."""
    accept = request.headers.get("accept", "")
    places = {"json": accept.find("application/json"), "mermaid": accept.find("text/")}
    named = [(place, name) for name, place in places.items() if place >= 0]
    return min(named)[1] if named else "mermaid"


def _json(plan: Plan, drawing: Drawing) -> dict[str, Any]:
    """The whole of it, however large. Nodes and states by path; dots where something begins are not among its nodes."""
    items = drawing.items
    starts = {number for number, item in enumerate(items) if not item.id}
    rows = None if drawing.has_states else drawing.levels
    return {
        "workflow_id": plan.workflow_id,
        "title": drawing.title,
        "nodes": [
            {
                "id": item.id,
                "title": item.title,
                "kind": item.kind,
                "detail": item.detail,
                "status": item.status or None,
                "level": rows[number] if rows is not None else None,
                "inside": items[item.parent].id if item.parent >= 0 else None,
                "notes": list(item.notes),
            }
            for number, item in enumerate(items)
            if item.id
        ],
        "edges": [
            {
                "source": items[link.source].id,
                "target": items[link.target].id,
                "label": link.label,
                "orders": link.orders,
                "mark": link.mark or None,
            }
            for link in drawing.links
            if link.source not in starts
        ],
        "initial": [items[link.target].id for link in drawing.links if link.source in starts],
        "event_schemas": plan.event_schemas,
    }
