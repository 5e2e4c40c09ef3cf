"""What an engine needs of a runtime, in this process or elsewhere."""

from __future__ import annotations

from typing import Protocol

from workflow_runtime.client.sources import Source
from workflow_runtime.plan import Json


class Connection(Protocol):
    """Every method raises the errors of `client.errors`. Documents are JSON, as the HTTP API shows them."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, source: Source) -> str:
        """The id of the workflow that now has this definition as its latest version."""

    async def start(self, workflow_id: str, input: Json, *, version: int | None, idempotency_key: str | None) -> str:
        """The id of the new execution, or of the one that the same key started."""

    async def document(self, execution_id: str) -> dict[str, Json]:
        """The execution document as it is now."""

    async def wait(self, execution_id: str, seconds: float | None) -> dict[str, Json]:
        """The execution document once it has ended. Raises `WaitTimeout`."""

    async def list(self, workflow_id: str, status: str | None, limit: int) -> list[dict[str, Json]]:
        """Executions, newest first: id, workflow, version, status, start, end and error of each."""
