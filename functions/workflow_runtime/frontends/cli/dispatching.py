"""The dispatcher for a database file in which a command has changed something: what was asked takes effect at once.

Nothing else is run. Agents and tools that were ordered for it run when `awr run --resume` or `awr dev` opens the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from workflow_runtime.backends.embedded.backend import Backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.runtime.making import handler_of
from workflow_runtime.runtime.services import Runtime

PAUSE_SECONDS = 0.02  # between looks at the mailboxes, while the command waits for an answer


@asynccontextmanager
async def dispatching(backend: Backend, runtime: Runtime) -> AsyncIterator[None]:
    """Inside, and once more at the end, take what is in the mailboxes of executions."""
    dispatch = _Dispatch(backend, runtime)
    task = asyncio.create_task(dispatch.forever())
    try:
        yield
    finally:
        task.cancel()
        dispatch.once()


class _Dispatch:
    def __init__(self, backend: Backend, runtime: Runtime) -> None:
        self._poller = backend.poller
        function = TOPOLOGY.function("dispatch")
        [self._source] = function.sources
        self._context = LocalContext(function)
        self._handler = handler_of(function, runtime)

    def once(self) -> None:
        """Take everything that can be received. What cannot be taken now is left for the next process that opens the
        file."""
        while records := self._poller.receive(self._source.queue, self._source.batch_size):
            answer = self._handler({"Records": [record.event_record for record in records]}, self._context)
            failed = {failure["itemIdentifier"] for failure in (answer or {}).get("batchItemFailures", ())}
            taken = [record for record in records if record.event_record["messageId"] not in failed]
            self._poller.delete(self._source.queue, [record.receipt_handle for record in taken])

    async def forever(self) -> None:
        while True:
            self.once()
            await asyncio.sleep(PAUSE_SECONDS)
