"""What a connection to the HTTP API asks of agents that are published at run time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import httpx
import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.frontends.client.answers import Answer
from workflow_runtime.frontends.client.errors import InvalidDefinition
from workflow_runtime.frontends.client.remote_people import segment
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.json_values import Json


class RemoteAgents(ABC):
    """Of `remote.RemoteConnection`."""

    @abstractmethod
    async def _call(self, method: str, path: str, **request: Any) -> Answer:
        """The answer's JSON. Raises `EngineError`."""

    @abstractmethod
    async def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer of a success. Raises `EngineError`."""

    @abstractmethod
    async def _pages_of(
        self, method: str, path: str, params: dict[str, str], limit: int | None, **request: Any
    ) -> list[dict[str, Json]]:
        """Items of all pages, at most ``limit``."""

    async def publish_agent(self, source: Source, *, force: bool) -> dict[str, Json]:
        agent_id = await self.check_agent(source)
        answer = await self._call("PUT", _path(agent_id), params=_forced(force), **_definition(source))
        return answer.plain("agent_id", "version")

    async def check_agent(self, source: Source) -> str:
        """The id of the agent that a definition is of. Raises `InvalidDefinition` with every finding."""
        answer = await self._call("POST", "/agents/validate", **_definition(source))
        if not answer["valid"]:
            raise InvalidDefinition(msgspec.convert(answer["findings"], list[Finding]))
        return str(answer["agent_id"])

    async def agents(self) -> list[dict[str, Json]]:
        return await self._pages_of("GET", "/agents", {}, None)

    async def agent(self, agent_id: str, version: int | None) -> dict[str, Json]:
        params = {"version": str(version)} if version is not None else {}
        return (await self._call("GET", _path(agent_id), params=params)).plain("agent_id", "source")

    async def agent_source(self, agent_id: str) -> Source:
        """The definition of the latest version of a published agent, as it was published."""
        return Source((await self._answer("GET", _path(agent_id), headers={"accept": "application/yaml"})).content)

    async def delete_agent(self, agent_id: str, *, force: bool) -> None:
        await self._answer("DELETE", _path(agent_id), params=_forced(force))


def _path(agent_id: str) -> str:
    return f"/agents/{segment(agent_id)}"


def _forced(force: bool) -> dict[str, str]:
    return {"force": "true"} if force else {}


def _definition(source: Source) -> dict[str, Any]:
    kind = "application/json" if source.is_json else "application/yaml"
    return {"content": source.data, "headers": {"content-type": kind}}
