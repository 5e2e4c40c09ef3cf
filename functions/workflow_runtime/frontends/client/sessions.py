"""The engine's methods for sessions of agents: conversations that go on from one execution to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.frontends.client.connection import Connection
from workflow_runtime.frontends.client.people import LISTED_DEFAULT
from workflow_runtime.language.json_values import Json


class SessionMethods:
    """Of `WorkflowEngine`. Calls raise the errors of `workflow_runtime.frontends.client.errors`."""

    _connection: Connection

    async def list_sessions(
        self, agent: str | None = None, *, tenant: str | None = None, limit: int = LISTED_DEFAULT
    ) -> list[dict[str, Json]]:
        """Sessions of an agent, or of all, at most ``limit``, in the order of their names: ``agent``, ``tenant``,
        ``session``, ``turns``, ``summed_up``, ``used_at``, ``expires_at``, ``held_by``, ``waiting``. ``tenant``: only
        those of its executions ("": of executions without one)."""
        return await self._connection.sessions(agent, tenant, limit)

    async def get_session(self, agent: str, session: str, *, tenant: str = "") -> dict[str, Json]:
        """One of them, with what its next visit is ``told``: turns with their ``messages``. Raises `NotFound`."""
        return await self._connection.session(agent, session, tenant)

    async def delete_session(self, agent: str, session: str, *, tenant: str = "") -> None:
        """Forget all that was said in a session. Raises `NotFound`."""
        await self._connection.delete_session(agent, session, tenant)


class SyncSessionMethods:
    """Of `SyncWorkflowEngine`; they mean what those of `SessionMethods` do."""

    _sessions: SessionMethods
    _call: Callable[..., Any]

    def list_sessions(
        self, agent: str | None = None, *, tenant: str | None = None, limit: int = LISTED_DEFAULT
    ) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = self._call(self._sessions.list_sessions(agent, tenant=tenant, limit=limit))
        return found

    def get_session(self, agent: str, session: str, *, tenant: str = "") -> dict[str, Json]:
        found: dict[str, Json] = self._call(self._sessions.get_session(agent, session, tenant=tenant))
        return found

    def delete_session(self, agent: str, session: str, *, tenant: str = "") -> None:
        self._call(self._sessions.delete_session(agent, session, tenant=tenant))
