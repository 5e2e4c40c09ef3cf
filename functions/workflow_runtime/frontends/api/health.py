"""The operation that says whether the API works, its table included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.request import Request

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

UNUSED_ID = "health"  # an execution that there is not: looking for it reads the table and finds nothing


class Healths:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def check(self, request: Request) -> Answer:  # noqa: ARG002
        """Whether requests can be answered; 503 when the table cannot be read."""
        await self._runtime.ports.offload(self._runtime.documents.has_entry, UNUSED_ID, 1)
        return json_answer({"status": "ok"})
