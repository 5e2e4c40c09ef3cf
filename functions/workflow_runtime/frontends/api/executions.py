"""The operations on executions: start, list, show, their nodes, and why they do not go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import msgspec
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import AwareDatetime, BeforeValidator

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.http import Place, decode_cursor, encode_cursor, fitted, note, page, sliced
from workflow_runtime.frontends.api.models import StartRequest
from workflow_runtime.frontends.api.parameters import (
    PAGE_ITEMS_DEFAULT,
    PAGE_ITEMS_MAX,
    CorrelationId,
    Cursor,
    ExecutionId,
    Limit,
    NodePath,
    Range,
    StartKey,
    StoredVersion,
    Wait,
    WorkflowId,
    check_id,
)
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.waiting import wait_until
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Attribute
from workflow_runtime.services.views.executions import header_json
from workflow_runtime.services.views.nodes import error_json
from workflow_runtime.services.views.passes import Page
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.records import LateResult, Run

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime
    from workflow_runtime.services.express import ExpressStart

INCLUDED_DEFAULT = "output"
INCLUDE_PATTERN = r"^(nodes|input|output|variables)(,(nodes|input|output|variables)){0,3}$"
NODE_CHARS_MAX = 2_000
TIME_MS_MAX = 10**15 - 1  # positions in lists have 15 digits

Include = Annotated[
    str, Query(pattern=INCLUDE_PATTERN, description="Parts to include: `nodes`, `input`, `output`, `variables`.")
]
OfWorkflow = Annotated[
    str | None, Query(min_length=1, max_length=128, description="Only executions of this workflow (its id).")
]


def _dated(text: Any) -> Any:
    """A number would be taken for epoch seconds. Raises `ValueError`."""
    if isinstance(text, str) and not re.match(r"\s*\d{4}-", text):
        raise ValueError(f"not a date and time such as 2026-01-31T08:00:00Z: {text[:40]!r}")
    return text


StartedAfter = Annotated[
    AwareDatetime | None, BeforeValidator(_dated), Query(description="Only executions started at this time or later.")
]
StartedBefore = Annotated[
    AwareDatetime | None, BeforeValidator(_dated), Query(description="Only executions started before this time.")
]
OfNode = Annotated[
    str | None,
    Query(min_length=1, max_length=NODE_CHARS_MAX, description="Only this node (its path), and what it waits for."),
]
OfStatus = Annotated[ExecutionStatus | None, Query(description="Only executions in this status.")]


class Executions:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def start(
        self,
        request: Request,
        workflow_id: WorkflowId,
        version: StoredVersion = None,
        wait: Wait = 0,
        idempotency_key: StartKey = None,
        x_correlation_id: CorrelationId = None,
    ) -> Answer:
        """Start an execution of the workflow; with `wait`, its document if in that time it ends, or comes to where only
        an event could move it.
        """
        body = parsed_body(request, StartRequest)
        clock = self._runtime.ports.clock
        end = clock.now() + int(wait * 1000)
        express = self._runtime.express_now if wait else None
        at_once: list[ExpressStart] = []
        execution_id = await self._runtime.ports.offload(
            self._runtime.starter.start,
            workflow_id,
            body.given,
            version=version,
            start_key=idempotency_key,
            correlation_id=x_correlation_id or "",
            run_express=at_once.append if express is not None else None,
        )
        if express is not None and at_once:
            await express.run(at_once[0], max(end - clock.now(), 0) / 1000)
        if wait and await self._rests(execution_id, end):
            return await self._document(request, execution_id, {INCLUDED_DEFAULT})
        header = await self._runtime.ports.offload(self._runtime.documents.header, execution_id)
        return json_answer(header_json(header), 202, {"Location": execution_url(request, execution_id)})

    async def listing(
        self,
        request: Request,  # noqa: ARG002
        workflow: OfWorkflow = None,
        status: OfStatus = None,
        started_after: StartedAfter = None,
        started_before: StartedBefore = None,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """Executions, the newest first: of a workflow, or of all. A page of all workflows in one status may hold fewer
        than asked for, or none, and lead on: `next_cursor` tells.
        """
        since, until = _milliseconds(started_after), _milliseconds(started_before)
        of = ("executions", workflow or "", status or "", str(since), str(until))
        before = decode_cursor(of, cursor) or (f"{until:015d}" if until else None)
        statuses = tuple(ExecutionStatus) if status is None else (status,)
        wanted = Wanted(statuses, workflow, before, since)
        found = await self._runtime.ports.offload(self._runtime.documents.list, wanted, limit)
        more = encode_cursor(of, found.next) if found.next is not None else None
        return json_answer(page(list(map(header_json, found.headers)), more))

    async def usage(
        self,
        request: Request,  # noqa: ARG002
        workflow: OfWorkflow = None,
        started_after: StartedAfter = None,
        started_before: StartedBefore = None,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """What the models of executions have used, of a page of them, the newest first: in all, and by tenant,
        workflow, agent and model. An execution that another one started counts by itself.
        """
        since, until = _milliseconds(started_after), _milliseconds(started_before)
        of = ("usage", workflow or "", str(since), str(until))
        before = decode_cursor(of, cursor) or (f"{until:015d}" if until else None)
        wanted = Wanted(tuple(ExecutionStatus), workflow, before, since)
        found = await self._runtime.ports.offload(self._runtime.usage_reports.page, wanted, limit)
        more = encode_cursor(of, found.next) if found.next is not None else None
        by = {f"by_{name}": values for name, values in found.by.items()}
        return json_answer({"executions": found.executions, "total": found.total, **by, "next_cursor": more})

    async def get(
        self, request: Request, execution_id: ExecutionId, include: Include = INCLUDED_DEFAULT, range: Range = None
    ) -> Answer:
        """An execution: its states, variables, transitions, and what it listens to, if it has any. With `range`, a
        slice of the one part that `include` names, `input`, `output` or `variables`.
        """
        check_id(execution_id)
        parts = set(include.split(","))
        if range is None:
            return await self._document(request, execution_id, parts)
        if len(parts) != 1 or "nodes" in parts:
            raise Problem("range_not_satisfiable", "a range is of `include=input`, `=output` or `=variables`")
        found = await self._runtime.ports.offload(self._runtime.documents.execution, execution_id, parts)
        if "variables" in parts:
            return sliced(msgspec.json.encode(found.variables), range)
        return sliced((found.input if "input" in parts else found.output) or b"null", range)

    async def node(self, request: Request, execution_id: ExecutionId, path: NodePath, range: Range = None) -> Answer:
        """A node of an execution, all its runs, and its newest output; with `range`, a slice of that."""
        check_id(execution_id)
        found = await self._runtime.ports.offload(self._runtime.documents.node, execution_id, path)
        if range is not None:
            return sliced(found.output, range)
        document = {"execution_id": execution_id, "path": path, **found.entry, "output": msgspec.Raw(found.output)}
        document["runs"] = [_run_json(run) for run in found.runs]
        return fitted(document, [Place(document, "output", _node_url(request, execution_id, path))])

    async def passes(
        self,
        request: Request,
        execution_id: ExecutionId,
        path: NodePath,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """Passes of a loop, in order, each with its nodes: those that have begun."""
        check_id(execution_id)
        of = ("passes", execution_id, path)
        start = int(decode_cursor(of, cursor) or 0)
        wanted = Page(path, start, limit)
        found = await self._runtime.ports.offload(self._runtime.documents.passes, execution_id, wanted)
        offload, outputs = self._runtime.ports.offload, found.node_outputs
        places = await offload(self._node_places, request, execution_id, found.nodes, outputs)
        more = encode_cursor(of, str(found.next)) if found.next is not None else None
        document = {**found.loop.json(), **page(found.json(path), more)}
        href = f"{execution_url(request, execution_id)}/nodes/{{path}}"
        return fitted(document, places, Place(document, "items", href))

    async def why(
        self,
        request: Request,  # noqa: ARG002
        execution_id: ExecutionId,
        node: OfNode = None,
        limit: Limit = PAGE_ITEMS_MAX,
        cursor: Cursor = None,
    ) -> Answer:
        """What an execution waits for: each node that has not ended, since when, until when, and what would move it;
        the states it is in and what they listen to; events kept for later waits. Nodes that wait for other nodes come
        last.
        """
        check_id(execution_id)
        of = ("why", execution_id)
        after = int(decode_cursor(of, cursor) or 0)
        explanations, offload = self._runtime.explanations, self._runtime.ports.offload
        if node is not None:
            found = await offload(explanations.why_node, execution_id, node)
        else:
            found = await offload(explanations.why, execution_id, limit, after)
        more = encode_cursor(of, str(found.next)) if found.next is not None else None
        return json_answer({**found.json(), "next_cursor": more})

    async def _rests(self, execution_id: str, end: int) -> bool:
        """Whether it rests before ``end`` (epoch ms); it is asked once at least."""

        async def rests() -> bool:
            return await self._runtime.ports.offload(self._runtime.documents.rests, execution_id, end)

        left = max(end - self._runtime.ports.clock.now(), 0) / 1000
        return await wait_until(self._runtime, left, rests)

    async def _document(self, request: Request, execution_id: str, parts: set[str]) -> Answer:
        found = await self._runtime.ports.offload(self._runtime.documents.execution, execution_id, parts)
        document = found.document(msgspec.Raw)
        places = [_part_place(request, document, part) for part in ("input", "output", "variables") if part in document]
        if found.nodes is None:
            return fitted(document, places)
        outputs = found.node_outputs
        places += await self._runtime.ports.offload(self._node_places, request, execution_id, found.nodes, outputs)
        href = f"{execution_url(request, execution_id)}/nodes/{{path}}"
        return fitted(document, places, Place(document, "node_executions", href))

    def _node_places(
        self, request: Request, execution_id: str, nodes: dict[str, Json], outputs: Mapping[str, Attribute]
    ) -> list[Place]:
        """Puts small outputs into the nodes' entries, notes in place of those in the blob store: one read each."""
        places = []
        for id, held in outputs.items():
            entry: dict[str, Any] = nodes[id]
            href = _node_url(request, execution_id, id)
            if isinstance(held, str):
                entry["output"] = note(href)
            else:
                entry["output"] = msgspec.Raw(self._runtime.documents.node_output(held))
                places.append(Place(entry, "output", href))
        return places


def _milliseconds(time: datetime | None) -> int:
    """Of a time that an execution may have started at; 0: none is given."""
    return min(max(int(time.timestamp() * 1000), 1), TIME_MS_MAX) if time is not None else 0


def _run_json(run: Run) -> dict[str, Json]:
    return {
        "serial": run.serial,
        "attempt": run.attempt,
        "status": run.status,
        "error": error_json(run.error),
        "started_at": iso_time(run.started_at) if run.started_at else None,
        "ended_at": iso_time(run.ended_at) if run.ended_at else None,
        "late": _late_json(run.late) if run.late is not None else None,
        "child": run.child or None,
    }


def _late_json(late: LateResult) -> dict[str, Json]:
    return {
        "status": late.status,
        "at": iso_time(late.at),
        "output": late.output,
        "output_bytes": late.output_bytes,
        "error": error_json(late.error),
    }


def execution_url(request: Request, execution_id: str) -> str:
    return f"{request.prefix}/executions/{execution_id}"


def _part_place(request: Request, document: dict[str, Any], part: str) -> Place:
    url = execution_url(request, document["execution_id"])
    return Place(document, part, f"{url}?include={part}&range=0-")


def _node_url(request: Request, execution_id: str, path: str) -> str:
    return f"{execution_url(request, execution_id)}/nodes/{quote(path, safe='')}?range=0-"
