"""The runtime's HTTP API, as far as the operator needs it."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.frontends.client.answers import Answer
from workflow_runtime.frontends.client.calls import definition_of, forced, segment
from workflow_runtime.frontends.client.errors import NotFound
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.frontends.operator.deciding import Seen


class RuntimeApi(RemoteConnection):
    """The SDK's connection, with conditional publishing. Every method raises `EngineError`."""

    async def seen(self, workflow_id: str) -> Seen | None:
        """The latest version of a published workflow; None: it is not published."""
        try:
            answer = await self._call("GET", _path(workflow_id))
        except NotFound:
            return None
        return _seen(answer)

    async def put(self, workflow_id: str, source: Source, over: Seen | None) -> tuple[Seen, list[Finding]]:
        """Publish a definition over what was seen: what it became, and the compiler's warnings. Raises `Conflict` if
        what was seen is not the latest version any more, `InvalidDefinition`."""
        answer = await self._put(_path(workflow_id), source, over, {})
        return _seen(answer), msgspec.convert(answer["warnings"], list[Finding])

    async def findings(self, source: Source) -> list[Finding]:
        """What the compiler says of a definition now."""
        answer = await self._call("POST", "/workflows/validate", **definition_of(source))
        return msgspec.convert(answer["findings"], list[Finding])

    async def remove(self, workflow_id: str, over: Seen, *, force: bool) -> None:
        """Unpublish a workflow. Raises `Conflict` if its executions run (unless ``force``), or as `put`."""
        await self._answer("DELETE", _path(workflow_id), params=forced(force), headers={"if-match": over.etag})

    async def seen_agent(self, agent_id: str) -> Seen | None:
        """The latest version of a published agent; None: it is not published."""
        try:
            answer = await self._call("GET", _agent_path(agent_id))
        except NotFound:
            return None
        return _seen_agent(answer) if answer["version"] is not None else None

    async def put_agent(self, agent_id: str, source: Source, over: Seen | None, *, force: bool) -> Seen:
        """Publish the definition of an agent over what was seen: what it became. Raises `InvalidDefinition`; `Conflict`
        as `put`, and if published workflows do not fit it (unless ``force``)."""
        return _seen_agent(await self._put(_agent_path(agent_id), source, over, forced(force)))

    async def remove_agent(self, agent_id: str, over: Seen, *, force: bool) -> None:
        """Publish an agent no more. Raises `Conflict` if something needs it (unless ``force``), or as `put`."""
        await self._answer("DELETE", _agent_path(agent_id), params=forced(force), headers={"if-match": over.etag})

    async def _put(self, path: str, source: Source, over: Seen | None, params: dict[str, str]) -> Answer:
        definition = definition_of(source)
        precondition = {"if-match": over.etag} if over is not None else {"if-none-match": "*"}
        definition["headers"] |= precondition
        return await self._call("PUT", path, params=params, **definition)

    async def last_runs(self, workflow_id: str, limit: int) -> list[dict[str, Any]]:
        """The newest executions of a workflow."""
        answer = await self._call("GET", "/executions", params={"workflow": workflow_id, "limit": str(limit)})
        items: list[dict[str, Any]] = answer["items"]
        return items

    async def execution(self, execution_id: str) -> dict[str, Any]:
        """An execution with its output, without its nodes."""
        answer = await self._call("GET", f"/executions/{segment(execution_id)}", params={"include": "output"})
        return dict(answer)


def _path(workflow_id: str) -> str:
    return f"/workflows/{segment(workflow_id)}"


def _seen(answer: Any) -> Seen:
    return Seen(version=answer["version"], identity=answer["plan_hash"], etag=answer["etag"])


def _agent_path(agent_id: str) -> str:
    return f"/agents/{segment(agent_id)}"


def _seen_agent(answer: Any) -> Seen:
    return Seen(version=answer["version"], identity=answer["digest"], etag=answer["etag"])
