"""What a connection to the HTTP API asks of agents that are published at run time."""

from __future__ import annotations

import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.frontends.client.calls import Calls, definition_of, forced, segment
from workflow_runtime.frontends.client.errors import InvalidDefinition
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.json_values import Json


class RemoteAgents(Calls):
    """Of `remote.RemoteConnection`."""

    async def publish_agent(self, source: Source, *, force: bool) -> dict[str, Json]:
        agent_id = await self.check_agent(source)
        answer = await self._call("PUT", _path(agent_id), params=forced(force), **definition_of(source))
        return answer.plain("agent_id", "version")

    async def check_agent(self, source: Source) -> str:
        """The id of the agent that a definition is of. Raises `InvalidDefinition` with every finding."""
        answer = await self._call("POST", "/agents/validate", **definition_of(source))
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
        await self._answer("DELETE", _path(agent_id), params=forced(force))


def _path(agent_id: str) -> str:
    return f"/agents/{segment(agent_id)}"
