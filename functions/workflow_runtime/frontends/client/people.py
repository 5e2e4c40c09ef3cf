"""The engine's methods for people: what they are asked, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from workflow_runtime.frontends.client.connection import Connection
from workflow_runtime.language.json_values import Json

LISTED_DEFAULT = 50


class PeopleMethods:
    """Of `WorkflowEngine`. Calls raise the errors of `workflow_runtime.frontends.client.errors`."""

    _connection: Connection

    async def list_approvals(
        self,
        *,
        assignee: str | None = None,
        workflow: str | None = None,
        older_than: str | None = None,
        status: str = "open",
        kind: str | None = None,
        limit: int = LISTED_DEFAULT,
    ) -> list[dict[str, Json]]:
        """What people are asked, the newest first: ``id``, ``execution_id``, ``workflow_id``, ``path``, ``prompt``,
        ``assignees``, ``quorum``, ``asked_at``, ``expires_at``, ``answers`` …

        ``assignee``: only what asks this person, or nobody by name; ``workflow``: only of this one; ``older_than``:
        only what was asked so long ago (``1h``); ``status``: ``open`` or ``ended``; ``kind``: only what a ``node``
        asks, or is asked of an agent: about a call (``tool``), whether one has happened (``effect``), a ``guardrail``,
        a ``budget``.
        """
        return await self._connection.approvals(
            assignee=assignee, workflow=workflow, older_than=older_than, status=status, kind=kind, limit=limit
        )

    async def get_approval(self, approval_id: str) -> dict[str, Json]:
        """One of them, with its ``form`` and the ``data`` that is shown. Raises `NotFound`."""
        return await self._connection.approval(approval_id)

    async def approve(
        self, approval_id: str, *, data: Json = UNSET, comment: str = "", by: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        """Approve: ``{"approval_id", "execution_id", "by", "approved", "changed"}`` once that is on its way;
        ``changed`` is False if it was said before.

        ``data`` changes what was shown: of an object, the keys that it has. ``by``: who says so; a deployed API knows
        its caller, and lets only those name others whom the deployment lists. Raises `NotFound`, `NotAuthorized`,
        `Conflict` when it is decided, `EngineError` for data that does not match the form.
        """
        return await self._connection.answer(approval_id, True, data=data, comment=comment, by=by, key=key)

    async def reject(
        self, approval_id: str, *, data: Json = UNSET, comment: str = "", by: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        """Reject; as `approve`."""
        return await self._connection.answer(approval_id, False, data=data, comment=comment, by=by, key=key)

    async def delegate_approval(
        self, approval_id: str, to: str, *, reason: str = "", by: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        """Have ``to`` asked in the place of the caller, or of ``by``. Raises as `approve` does."""
        return await self._connection.delegate(approval_id, to, reason=reason, by=by, key=key)

    async def complete_task(self, token: str, output: Json = None) -> bool:
        """Complete the node that waits for this task token with ``output``; False if just that was said before. Raises
        `NotFound`, `Conflict` when the token counts no more.
        """
        return await self._connection.task("complete", {"token": token, "output": output})

    async def fail_task(self, token: str, type: str = "execution_error", message: str = "") -> bool:
        """Fail the attempt that waits for this task token: its retry policy goes on; as `complete_task`."""
        return await self._connection.task("fail", {"token": token, "type": type, "message": message})

    async def heartbeat_task(self, token: str) -> None:
        """Show that the work goes on, for nodes whose `callback` has a `heartbeat`; raises as `complete_task` does."""
        await self._connection.task("heartbeat", {"token": token})


class SyncPeopleMethods:
    """Of `SyncWorkflowEngine`; they mean what those of `PeopleMethods` do."""

    _people: PeopleMethods
    _call: Callable[..., Any]

    def list_approvals(
        self,
        *,
        assignee: str | None = None,
        workflow: str | None = None,
        older_than: str | None = None,
        status: str = "open",
        kind: str | None = None,
        limit: int = LISTED_DEFAULT,
    ) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = self._call(
            self._people.list_approvals(
                assignee=assignee, workflow=workflow, older_than=older_than, status=status, kind=kind, limit=limit
            )
        )
        return found

    def get_approval(self, approval_id: str) -> dict[str, Json]:
        found: dict[str, Json] = self._call(self._people.get_approval(approval_id))
        return found

    def approve(
        self, approval_id: str, *, data: Json = UNSET, comment: str = "", by: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        said: dict[str, Json] = self._call(
            self._people.approve(approval_id, data=data, comment=comment, by=by, key=key)
        )
        return said

    def reject(
        self, approval_id: str, *, data: Json = UNSET, comment: str = "", by: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        said: dict[str, Json] = self._call(self._people.reject(approval_id, data=data, comment=comment, by=by, key=key))
        return said

    def delegate_approval(
        self, approval_id: str, to: str, *, reason: str = "", by: str | None = None, key: str | None = None
    ) -> dict[str, Json]:
        said: dict[str, Json] = self._call(
            self._people.delegate_approval(approval_id, to, reason=reason, by=by, key=key)
        )
        return said

    def complete_task(self, token: str, output: Json = None) -> bool:
        changed: bool = self._call(self._people.complete_task(token, output))
        return changed

    def fail_task(self, token: str, type: str = "execution_error", message: str = "") -> bool:
        changed: bool = self._call(self._people.fail_task(token, type, message))
        return changed

    def heartbeat_task(self, token: str) -> None:
        self._call(self._people.heartbeat_task(token))
