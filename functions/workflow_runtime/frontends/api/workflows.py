"""The operations on workflows: publish, show, list, check, remove."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.findings import findings_json
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import definition_source
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor, etag, expected, is_current, page
from workflow_runtime.frontends.api.parameters import PAGE_ITEMS_DEFAULT, Cursor, Force, Limit, WorkflowId, is_set
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.services.catalog.catalog import Published
from workflow_runtime.storage.workflows import WorkflowVersion

if TYPE_CHECKING:
    from workflow_runtime.compiler import Compilation
    from workflow_runtime.runtime.services import Runtime


class Workflows:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def _compiled(self, source: bytes) -> Compilation:
        """In a thread, whatever the ports do: a large definition takes seconds, and the event loop serves everybody."""
        return await asyncio.to_thread(self._runtime.catalog.compile, source)

    async def create(self, request: Request) -> Answer:
        """Publish a new workflow; publishing the same definition again is not a conflict."""
        source = definition_source(request)
        compilation = await self._compiled(source)
        published, is_new = await self._runtime.ports.offload(self._runtime.publishing.create, source, compilation)
        return _published(request, published, is_new=is_new)

    async def replace(self, request: Request, workflow_id: WorkflowId) -> Answer:
        """Publish a workflow's next version, or its first."""
        source = definition_source(request)
        compilation = await self._compiled(source)
        published, is_new = await self._runtime.ports.offload(
            self._runtime.publishing.replace, workflow_id, source, compilation, expected(request)
        )
        return _published(request, published, is_new=is_new)

    async def validate(self, request: Request) -> Answer:
        """What the compiler says of a definition; nothing is stored."""
        compilation = await self._compiled(definition_source(request))
        plan = compilation.plan
        return json_answer(
            {
                "valid": plan is not None,
                "workflow_id": plan.workflow_id if plan is not None else None,
                "plan_hash": plan.hash if plan is not None else None,
                "findings": findings_json(compilation.findings),
            }
        )

    async def listing(self, request: Request, limit: Limit = PAGE_ITEMS_DEFAULT, cursor: Cursor = None) -> Answer:  # noqa: ARG002
        """Published workflows, the newest first."""
        before = decode_cursor(("workflows",), cursor)
        found = await self._runtime.ports.offload(self._runtime.stores.workflows.list, limit + 1, before)
        items = [
            {
                "workflow_id": pointer.workflow_id,
                "version": pointer.latest,
                "created_at": iso_time(pointer.created_at),
            }
            for pointer in found[:limit]
        ]
        more = encode_cursor(("workflows",), found[limit - 1].position) if len(found) > limit else None
        return json_answer(page(items, more))

    async def get(self, request: Request, workflow_id: WorkflowId) -> Answer:
        """A workflow at its latest version; its definition as it was published with `Accept: application/yaml`."""
        version = await self._runtime.ports.offload(self._runtime.catalog.version, workflow_id)
        headers = {"ETag": etag(version), "Vary": "Accept"}
        if is_current(request, version):
            return Answer(304, headers=headers)
        if "yaml" in request.headers.get("accept", ""):
            source = await self._runtime.ports.offload(self._runtime.stores.workflows.source, version)
            return Answer(200, source, "application/yaml; charset=utf-8", headers)
        plan = await self._runtime.ports.offload(self._runtime.catalog.plan, version)
        return json_answer({**version_json(version), **_plan_json(plan)}, headers=headers)

    async def versions(
        self,
        request: Request,  # noqa: ARG002
        workflow_id: WorkflowId,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """A workflow's versions, the newest first."""
        of = ("versions", workflow_id)
        before = decode_cursor(of, cursor)
        latest = await self._runtime.ports.offload(self._runtime.catalog.version, workflow_id)
        found = await self._runtime.ports.offload(
            self._runtime.catalog.versions, latest, limit, int(before) if before is not None else None
        )
        more = encode_cursor(of, str(found[-1].number)) if found and found[-1].number > 1 else None
        return json_answer(page([version_json(version) for version in found], more))

    async def remove(self, request: Request, workflow_id: WorkflowId, force: Force = None) -> Answer:
        """Unpublish a workflow: it cannot be started any more, its executions go on and stay readable."""
        remove = self._runtime.publishing.remove
        await self._runtime.ports.offload(remove, workflow_id, expected(request), force=is_set(force))
        return Answer(204)


def version_json(version: WorkflowVersion) -> dict[str, Json]:
    return {
        "workflow_id": version.workflow_id,
        "version": version.number,
        "plan_hash": version.plan_hash,
        "published_at": iso_time(version.published_at),
        "etag": etag(version),
    }


def _plan_json(plan: Plan) -> dict[str, Json]:
    nodes = sum(not node.hidden for node in plan.root.nodes)
    return {
        "name": plan.workflow_name,
        "input_schema": plan.input_schema,
        "event_schemas": plan.event_schemas,
        "nodes": nodes,
    }


def _published(request: Request, published: Published, *, is_new: bool) -> Answer:
    version = published.version
    headers = {"ETag": etag(version)}
    if is_new:
        headers["Location"] = workflow_url(request, version.workflow_id)
    document = {**version_json(version), "warnings": findings_json(published.warnings)}
    return json_answer(document, 201 if is_new else 200, headers)


def workflow_url(request: Request, workflow_id: str) -> str:
    return f"{request.prefix}/workflows/{quote(workflow_id, safe='')}"
