"""The engine's methods for agents that are published at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.frontends.client.connection import Connection
from workflow_runtime.frontends.client.sources import Definition, read_agent
from workflow_runtime.language.json_values import Json


class AgentMethods:
    """Of `WorkflowEngine`. Calls raise the errors of `workflow_runtime.frontends.client.errors`."""

    _connection: Connection

    async def publish_agent(self, definition: Definition, *, force: bool = False) -> dict[str, Json]:
        """Publish the definition of one agent (a path, a mapping or a text), in force within seconds: ``agent_id``,
        ``version``, ``digest``, ``published_at``, ``hides_packaged``.

        It takes the place of an agent of that id in the files of the runtime. The same definition again changes
        nothing. ``force``: also if published workflows do not fit the change. Raises `InvalidDefinition` with every
        finding, `Conflict`, `OSError` for a file that cannot be read.
        """
        return await self._connection.publish_agent(read_agent(definition), force=force)

    async def list_agents(self) -> list[dict[str, Json]]:
        """All agents by id: ``agent_id``, ``source`` (``published`` or ``packaged``), ``version``, ``created_at``,
        ``hides_packaged``."""
        return await self._connection.agents()

    async def get_agent(self, agent_id: str, *, version: int | None = None) -> dict[str, Json]:
        """An agent as it is in force, or a version of one that was published: ``source``, ``version``, ``description``,
        ``models``, ``output_schema`` … Raises `NotFound`."""
        return await self._connection.agent(agent_id, version)

    async def delete_agent(self, agent_id: str, *, force: bool = False) -> None:
        """Publish an agent no more: one of that id in the files of the runtime is in force again. ``force``: also if
        workflows or agents need it. Raises `NotFound`, `Conflict`."""
        await self._connection.delete_agent(agent_id, force=force)


class SyncAgentMethods:
    """Of `SyncWorkflowEngine`; they mean what those of `AgentMethods` do."""

    _agents: AgentMethods
    _call: Callable[..., Any]

    def publish_agent(self, definition: Definition, *, force: bool = False) -> dict[str, Json]:
        document: dict[str, Json] = self._call(self._agents.publish_agent(definition, force=force))
        return document

    def list_agents(self) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = self._call(self._agents.list_agents())
        return found

    def get_agent(self, agent_id: str, *, version: int | None = None) -> dict[str, Json]:
        document: dict[str, Json] = self._call(self._agents.get_agent(agent_id, version=version))
        return document

    def delete_agent(self, agent_id: str, *, force: bool = False) -> None:
        self._call(self._agents.delete_agent(agent_id, force=force))
