"""Agents that are published at run time: publish, show, list, check, delete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import findings_json
from workflow_runtime.frontends.api import models
from workflow_runtime.frontends.api.answers import JSON_TYPE, Answer, json_answer
from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.bodies import YAML_TYPES, definition_source
from workflow_runtime.frontends.api.chart_models import Time
from workflow_runtime.frontends.api.http import (
    IF_MATCH,
    IF_NONE_MATCH,
    TAG_HEADER,
    decode_cursor,
    encode_cursor,
    etag,
    expected,
    is_current,
    page,
)
from workflow_runtime.frontends.api.parameters import (
    PAGE_ITEMS_DEFAULT,
    AgentId,
    Cursor,
    ForceAgent,
    Limit,
    StoredVersion,
    is_set,
)
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import LOCATION_HEADER, Reply, Route, Scope, json_reply

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

AGENT_BODY = "the definition of an agent"
HidesPackaged = Annotated[
    bool | None, Field(description="Whether it takes the place of one that was packaged; null where that is not known.")
]


class AgentVersionModel(ApiModel):
    """A stored version; the runtime numbers them 1, 2, 3 …"""

    agent_id: str
    version: int
    digest: str = Field(description="Of what the definition says, however it is written.")
    published_at: Time
    etag: str


class AgentDetail(ApiModel):
    """An agent as it is in force."""

    agent_id: str
    source: Literal["published", "packaged"] = Field(description="At run time, or with the deployment.")
    version: int | None = Field(description="Of one that was published.")
    digest: str | None
    published_at: Time | None
    etag: str | None
    hides_packaged: HidesPackaged
    description: str
    models: list[str] = Field(description="In the order in which they are asked.")
    output_schema: Any = Field(None, description="JSON Schema of its output; null if it says none.")


class AgentPublished(AgentVersionModel):
    """What a definition became."""

    hides_packaged: HidesPackaged


class AgentItem(ApiModel):
    agent_id: str
    source: Literal["published", "packaged"] = Field(description="Which of its id is in force.")
    version: int | None = Field(description="The latest one, of an agent that was published.")
    created_at: Time | None = Field(description="When it was published first.")
    hides_packaged: bool | None


class AgentPage(ApiModel):
    items: list[AgentItem]
    next_cursor: str | None


class AgentVersionPage(ApiModel):
    items: list[AgentVersionModel]
    next_cursor: str | None


class AgentValidation(ApiModel):
    """What is to be said of a definition: `valid` if there are no findings."""

    valid: bool
    agent_id: str | None
    digest: str | None
    findings: list[models.FindingModel]


class AgentRequests:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def validate(self, request: Request) -> Answer:
        """What is to be said of a definition; nothing is stored."""
        source = definition_source(request, AGENT_BODY)
        try:
            checked = await asyncio.to_thread(self._runtime.agents.check, source)
        except DefinitionError as error:
            findings = findings_json(error.findings)
            return json_answer({"valid": False, "agent_id": None, "digest": None, "findings": findings})
        return json_answer({"valid": True, "agent_id": checked.agent_id, "digest": checked.digest, "findings": []})

    async def replace(self, request: Request, agent_id: AgentId, force: ForceAgent = None) -> Answer:
        """Publish an agent's next version, or its first; it is in force within seconds. Visits that have begun go on
        with the version that they began with. Publishing the same definition again changes nothing."""
        source = definition_source(request, AGENT_BODY)
        published = await asyncio.to_thread(  # checking workflows against it takes its time
            self._runtime.agents.publish, agent_id, source, expected(request), force=is_set(force)
        )
        headers = {"ETag": etag(published.version)}
        if published.is_new:
            headers["Location"] = f"{request.prefix}/agents/{quote(published.version.agent_id, safe='')}"
        document = {**published.json(), "etag": etag(published.version)}
        return json_answer(document, 201 if published.is_new else 200, headers)

    async def listing(self, request: Request, limit: Limit = PAGE_ITEMS_DEFAULT, cursor: Cursor = None) -> Answer:  # noqa: ARG002
        """Agents by id: those that were published, and those that were packaged with the deployment."""
        after = decode_cursor(("agents",), cursor) or ""
        found = await self._runtime.ports.offload(self._runtime.agents.list, after, limit + 1)
        more = encode_cursor(("agents",), found[limit - 1].agent_id) if len(found) > limit else None
        return json_answer(page([item.json() for item in found[:limit]], more))

    async def get(self, request: Request, agent_id: AgentId, version: StoredVersion = None) -> Answer:
        """An agent as it is in force; the definition of a published one as it was published with `Accept:
        application/yaml`. What was packaged stands in the files of the deployment."""
        agents = self._runtime.agents
        found = await self._runtime.ports.offload(agents.in_force, agent_id, version)
        if found.version is None:
            return json_answer({**found.json(), "etag": None}, headers={"Vary": "Accept"})
        headers = {"ETag": etag(found.version), "Vary": "Accept"}
        if is_current(request, found.version):
            return Answer(304, headers=headers)
        if "yaml" in request.headers.get("accept", ""):
            source = await self._runtime.ports.offload(agents.source, found.version)
            return Answer(200, source, "application/yaml; charset=utf-8", headers)
        return json_answer({**found.json(), "etag": etag(found.version)}, headers=headers)

    async def versions(
        self,
        request: Request,  # noqa: ARG002
        agent_id: AgentId,
        limit: Limit = PAGE_ITEMS_DEFAULT,
        cursor: Cursor = None,
    ) -> Answer:
        """The versions of a published agent, the newest first."""
        of = ("agent versions", agent_id)
        before = decode_cursor(of, cursor)
        found = await self._runtime.ports.offload(
            self._runtime.agents.versions, agent_id, limit, int(before) if before is not None else None
        )
        more = encode_cursor(of, str(found[-1].number)) if found and found[-1].number > 1 else None
        return json_answer(page([{**version.json(), "etag": etag(version)} for version in found], more))

    async def remove(self, request: Request, agent_id: AgentId, force: ForceAgent = None) -> Answer:
        """Publish an agent no more: one of its id that was packaged is in force again; if there is none, nodes that
        name it fail with `not_found`. Visits that have begun go on."""
        await asyncio.to_thread(self._runtime.agents.remove, agent_id, expected(request), force=is_set(force))
        return Answer(204)


def agent_routes(runtime: Runtime) -> tuple[Route, ...]:
    agents, one = AgentRequests(runtime), "/agents/<agent_id>"
    published = {JSON_TYPE: AgentPublished}
    return (
        Route("GET", "/agents", agents.listing, "listAgents", (json_reply(AgentPage, "Agents"),), (404, 422)),
        Route(
            "POST",
            "/agents/validate",
            agents.validate,
            "validateAgent",
            (json_reply(AgentValidation, "What is to be said of it"),),
            (400, 413, 415, 422),
            AGENT_BODY,
            scope=Scope.READ,
        ),
        Route(
            "PUT",
            one,
            agents.replace,
            "putAgent",
            (
                Reply(201, "Published as a new agent", published, TAG_HEADER | LOCATION_HEADER),
                Reply(200, "Published as the next version, or the same definition again", published, TAG_HEADER),
            ),
            (400, 409, 412, 413, 415, 422, 429),
            AGENT_BODY,
            (IF_MATCH, IF_NONE_MATCH),
        ),
        Route(
            "GET",
            one,
            agents.get,
            "getAgent",
            (
                Reply(200, "The agent", {JSON_TYPE: AgentDetail, YAML_TYPES[0]: None}, TAG_HEADER),
                Reply(304, "The caller has this version", headers=TAG_HEADER),
            ),
            (404, 422),
            conditions=(IF_NONE_MATCH,),
        ),
        Route(
            "GET",
            f"{one}/versions",
            agents.versions,
            "listAgentVersions",
            (json_reply(AgentVersionPage, "Versions"),),
            (404, 422),
        ),
        Route(
            "DELETE",
            one,
            agents.remove,
            "deleteAgent",
            (Reply(204, "Deleted; what was packaged is in force again"),),
            (404, 409, 412, 422),
            conditions=(IF_MATCH,),
        ),
    )
