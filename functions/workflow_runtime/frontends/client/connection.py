"""What an engine needs of a runtime, in this process or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.json_values import Json


class Connection(Protocol):
    """Every method raises the errors of `client.errors`. Documents are JSON, as the HTTP API shows them."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, source: Source) -> str:
        """The id of the workflow that now has this definition as its latest version."""

    async def publish_agent(self, source: Source, *, force: bool) -> dict[str, Json]:
        """What the definition of an agent became."""

    async def agents(self) -> list[dict[str, Json]]:
        """All agents, published and packaged ones, by id."""

    async def agent(self, agent_id: str, version: int | None) -> dict[str, Json]:
        """An agent as it is in force, or a version of a published one."""

    async def delete_agent(self, agent_id: str, *, force: bool) -> None:
        """Publish an agent no more."""

    async def start(self, workflow_id: str, input: Json, *, version: int | None, idempotency_key: str | None) -> str:
        """The id of the new execution, or of the one that the same key started."""

    async def document(self, execution_id: str) -> dict[str, Json]:
        """The execution document as it is now."""

    async def wait(self, execution_id: str, seconds: float | None) -> dict[str, Json]:
        """The execution document once it has ended. Raises `WaitTimeout`."""

    async def send_event(
        self, execution_id: str, name: str, data: Json, *, key: str | None, wait: float | None
    ) -> dict[str, Json]:
        """What was accepted, and with ``wait`` what the event did if that was known in so many seconds."""

    async def control(
        self, operation: str, execution_id: str, reason: str, *, key: str | None, said: Mapping[str, Json]
    ) -> dict[str, Json]:
        """What was answered, once the request is on its way. ``said``: what the operation
        takes beside the reason, named as in the HTTP API."""

    async def control_many(
        self,
        operation: str,
        workflow_id: str,
        selection: Mapping[str, Json],
        reason: str,
        *,
        key: str | None,
        said: Mapping[str, Json],
        cursor: str | None,
    ) -> dict[str, Json]:
        """What one page of a request about many executions came to, with its ``next_cursor``. ``selection``:
        ``status``, ``older_than``, ``dry_run``."""

    async def why(self, execution_id: str, node: str | None, limit: int) -> dict[str, Json]:
        """What an execution, or one node of it, waits for: at most ``limit`` nodes."""

    async def approvals(
        self,
        *,
        assignee: str | None,
        workflow: str | None,
        older_than: str | None,
        status: str,
        limit: int,
        kind: str | None = None,
    ) -> list[dict[str, Json]]:
        """What people are asked, newest first."""

    async def approval(self, approval_id: str) -> dict[str, Json]:
        """One of them, whole."""

    async def answer(
        self, approval_id: str, approved: bool, *, data: Json, comment: str, by: str | None, key: str | None
    ) -> dict[str, Json]:
        """What was answered, once it is on its way. ``data`` may be `msgspec.UNSET`."""

    async def delegate(
        self, approval_id: str, to: str, *, reason: str, by: str | None, key: str | None
    ) -> dict[str, Json]:
        """The same of naming somebody else."""

    async def task(self, what: str, said: dict[str, Json]) -> bool:
        """``what``: ``complete``, ``fail`` or ``heartbeat`` with a task token, and what goes with it. False if just
        that was said before."""

    async def freeze(self, scope: str, reason: str) -> dict[str, Json]:
        """Freeze a scope as `services.freeze.scopes` names it: the switch, and whether that changed anything."""

    async def thaw(self, scope: str) -> dict[str, Json]:
        """The same of a thaw."""

    async def dead_letters(self, execution_id: str | None, limit: int) -> list[dict[str, Json]]:
        """Of an execution or of all, the first sent first."""

    async def redrive(self, execution_id: str | None, *, dry_run: bool) -> list[dict[str, Json]]:
        """Bring dead letters back: each, and what became of it."""

    async def freezes(self) -> list[dict[str, Json]]:
        """What is frozen, and what is being thawed."""

    async def limits(self) -> list[dict[str, Json]]:
        """All limiters, by name."""

    async def limit(self, name: str) -> dict[str, Json]:
        """A limiter, with what is taken of it and who waits."""

    async def put_limit(self, name: str, fields: Mapping[str, Json]) -> dict[str, Json]:
        """Set a limiter (fields as in a file), or pause or resume it (``paused``)."""

    async def delete_limit(self, name: str) -> dict[str, Json]:
        """Set it no more."""

    async def sessions(self, agent: str | None, tenant: str | None, limit: int) -> list[dict[str, Json]]:
        """Sessions of an agent, or of all; of these, those of a tenant."""

    async def session(self, agent: str, session: str, tenant: str) -> dict[str, Json]:
        """One of them, with all that its next visit is told."""

    async def delete_session(self, agent: str, session: str, tenant: str) -> None:
        """Forget what was said in it."""

    async def publish_event(self, source: str, detail_type: str, detail: dict[str, Json]) -> None:
        """Put an event on the runtime's bus."""

    def listen(
        self, execution_id: str | None, workflow_id: str | None, deliver: Callable[[dict[str, Json]], None]
    ) -> Callable[[], None]:
        """Call ``deliver``, in the running event loop, with events from now on: at least those of this execution, or
        of executions of this workflow. Returns what ends that."""

    async def list(
        self, workflow_id: str | None, status: str | None, since: datetime | None, limit: int
    ) -> list[dict[str, Json]]:
        """Executions, newest first: id, workflow, version, status, start, end and error of each."""
