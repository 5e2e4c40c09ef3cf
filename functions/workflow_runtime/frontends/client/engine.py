"""`WorkflowEngine`: the SDK's front door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec import UNSET

from workflow_runtime.frontends.client.agents import AgentMethods
from workflow_runtime.frontends.client.connection import Connection
from workflow_runtime.frontends.client.errors import InvalidInput, WaitTimeout, translated
from workflow_runtime.frontends.client.events import EventBus
from workflow_runtime.frontends.client.limits import ResourceQuota, Scheduler
from workflow_runtime.frontends.client.people import LISTED_DEFAULT, PeopleMethods
from workflow_runtime.frontends.client.sessions import SessionMethods
from workflow_runtime.frontends.client.sources import Definition, read_source
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.freeze.scopes import scope_of

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from workflow_runtime.invokers.mocks import Mocks

NOTHING: Mapping[str, Json] = {}
WAITS_DEFAULT = 100
LOOK_SECONDS = 0.02  # between looks at an execution that is about to go on
REOPENING_SECONDS_MAX = 30  # until it does; else it was asked too late


class WorkflowEngine(PeopleMethods, SessionMethods, AgentMethods):
    """Publishes workflows and runs executions::

        async with WorkflowEngine.local(definitions="definitions") as engine:
            workflow_id = await engine.create_workflow("greeting.yaml")
            execution_id = await engine.execute_workflow(workflow_id, {"name": "王小明"}, wait=10)
            print(await engine.get_execution_status(execution_id))

    Several executions run side by side. Calls raise the errors of `workflow_runtime.frontends.client.errors`.
    """

    def __init__(self, connection: Connection, quota: ResourceQuota | None = None) -> None:
        self._connection = connection
        self._attempts: dict[str, int] = {}
        self.event_bus = EventBus(connection)
        self.scheduler = Scheduler(connection)
        if quota is not None:
            self.scheduler.set_quota(quota)

    @classmethod
    def local(
        cls,
        definitions: str | Path | None = None,
        *,
        db: str | Path | None = None,
        mocks: str | Path | Mapping[str, Json] | Mocks | None = None,
        quota: ResourceQuota | None = None,
    ) -> Self:
        """An engine with a whole runtime in this process, running as a background task of the event loop.

        ``definitions``: a directory with ``workflows``, ``agents`` and ``tools``; its workflows are published on
        opening. ``db``: a SQLite file that keeps everything, so that open executions go on in the next process; None:
        memory. ``mocks``: a mocks file, its content, or `Mocks`. ``quota``: how much may run at once. Opening raises
        `InvalidDefinition`, and `EngineError` with the code ``database_locked`` while another process uses the file.
        """
        from workflow_runtime.frontends.client.local import LocalConnection

        return cls(LocalConnection(definitions, db, mocks), quota)

    @classmethod
    def remote(
        cls,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        sign: bool | None = None,
        timeout: float = 30.0,
        quota: ResourceQuota | None = None,
    ) -> Self:
        """An engine of the HTTP API at ``url``: `awr dev`, or a deployed one.

        ``headers`` go with every request (a bearer token, say). ``sign``: with AWS credentials (SigV4); None: if the
        host is API Gateway's. ``timeout``: seconds for one request. ``quota``: how much may run at once, whoever
        started it. Calls that fail for a passing reason are repeated;
        a start carries an idempotency key, so that repeating it starts nothing twice.
        """
        from workflow_runtime.frontends.client.remote import RemoteConnection

        return cls(RemoteConnection(url, headers=headers, sign=sign, timeout_seconds=timeout), quota)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        await self.scheduler.settle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.event_bus.close()
        await self._connection.close()

    async def create_workflow(self, definition: Definition) -> str:
        """Publish a definition (a path, a mapping or a text) and return the workflow's id.

        The same definition again changes nothing; another one of the same id is its next version. Raises
        `InvalidDefinition` with every finding, `OSError` for a file that cannot be read.
        """
        return await self._connection.publish(read_source(definition))

    async def execute_workflow(
        self,
        workflow_id: str,
        input: Json = None,
        wait: float | None = None,
        *,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Start an execution and return its id.

        ``wait``: give it that many seconds to end before returning; the id comes back either way. ``version``: the
        latest by default. ``idempotency_key``: a start with a key seen before returns the first execution's id.
        Raises `NotFound`, `InvalidInput`, and `Conflict` when the key came with another input.
        """
        await self.scheduler.settle()
        execution_id = await self._connection.start(
            workflow_id, {} if input is None else input, version=version, idempotency_key=idempotency_key
        )
        if wait is not None:
            with suppress(WaitTimeout):
                await self._connection.wait(execution_id, wait)
        return execution_id

    async def get_execution_status(self, execution_id: str) -> dict[str, Json]:
        """The execution document: ``status``, ``output``, ``error``, ``node_executions``, of charts
        ``current_states``, ``variables``, ``transitions``, ``available_events`` … Raises `NotFound`."""
        return await self._connection.document(execution_id)

    async def list_executions(
        self,
        workflow_id: str | None = None,
        status: str | None = None,
        *,
        since: datetime | None = None,
        limit: int = LISTED_DEFAULT,
    ) -> list[dict[str, Json]]:
        """Executions of a workflow, or of all, newest first, at most ``limit``; all, or those in one ``status``, or
        started ``since`` then (an aware time)."""
        if since is not None and since.tzinfo is None:
            raise InvalidInput(f"since: {since} has no time zone", "invalid_input")
        return await self._connection.list(workflow_id, status, since, limit)

    async def send_event(
        self,
        execution_id: str,
        name: str,
        data: Json = None,
        *,
        key: str | None = None,
        wait: float | None = None,
    ) -> dict[str, Json]:
        """Send an event to an execution: ``{"execution_id", "event", "id"}`` once it is on its way.

        ``key``: however often the event is sent under one key, it has one effect. ``wait``: give it that many seconds
        to be taken; then the answer has its ``outcome`` (``taken``, ``ignored``, ``deferred``, ``kept``, ``held``,
        ``failed``), the ``reason`` or ``transition``, and ``current_states``, ``variables``, ``available_events`` after
        it. Raises `NotFound`, `Conflict` when the execution has ended, `InvalidInput` for an event that it never
        listens to.
        """
        return await self._connection.send_event(execution_id, name, data, key=key, wait=wait)

    async def cancel_execution(self, execution_id: str, reason: str = "", *, key: str | None = None) -> dict[str, Json]:
        """Cancel an execution, and the executions whose end it awaits: ``{"execution_id", "operation", "id",
        "changed"}`` once the request is on its way; ``changed`` is False if it was cancelled already.

        Waiting work is dropped, running work is told (`NodeContext.cancelled`), late results are ignored. The history
        has the ``reason``. ``key``: repeats under it get the same answer for 24 hours. Raises `NotFound`, `Conflict`
        when the execution has completed or failed.
        """
        return await self._ask("cancel", execution_id, reason, key)

    async def compensate_execution(
        self, execution_id: str, reason: str = "", *, key: str | None = None
    ) -> dict[str, Json]:
        """Undo what an execution that failed or was cancelled has done and not undone yet, compensations that failed
        once more; then it has ended as before. Answers as `cancel_execution` does. Raises `NotFound`, `Conflict` when
        there is nothing.
        """
        return await self._ask("compensate", execution_id, reason, key)

    async def retry_execution(
        self,
        execution_id: str,
        reason: str = "",
        *,
        from_node: str = "",
        variables: dict[str, Json] | None = None,
        key: str | None = None,
    ) -> dict[str, Json]:
        """Have an execution that has ended go on: what failed, was cancelled, or was skipped because of that runs
        again, and what succeeded is kept. Answers as `cancel_execution` does.

        ``from_node``: a node of the graph at the top that runs again with all after it; one that has completed needs
        it. ``variables`` have these values from now on. Raises `NotFound`, `Conflict` with the reason.
        """
        said: dict[str, Json] = {"from": from_node} if from_node else {}
        if variables:
            said["variables"] = variables
        return await self._ask("retry", execution_id, reason, key, said)

    async def skip_node(
        self, execution_id: str, path: str, reason: str = "", *, output: Json = UNSET, key: str | None = None
    ) -> dict[str, Json]:
        """Have an execution go on without the node at ``path``, which waits or has failed; with an ``output``, as if it
        had succeeded. Answers as `cancel_execution` does. Raises `NotFound`, `Conflict` with the reason.
        """
        said = {"node": path} if output is UNSET else {"node": path, "output": output}
        return await self._ask("skip", execution_id, reason, key, said)

    async def control_executions(
        self,
        operation: str,
        workflow_id: str,
        *,
        status: Sequence[str] = (),
        older_than: str = "",
        reason: str = "",
        key: str | None = None,
        dry_run: bool = False,
        fields: Mapping[str, Json] = NOTHING,
    ) -> dict[str, Json]:
        """Ask the same of many executions of a workflow: ``cancel``, ``retry`` … (``fields``: what that takes beside
        the ``reason``).

        ``status``: only of those in one of these; by default, in which the operation changes something, completed ones
        apart. ``older_than``: only of those started so long ago (``1h``). ``dry_run``: only say which. Under the same
        ``key``, nothing is asked twice within 24 hours. The answer has ``execution_ids``, ``changed``, ``unchanged``,
        and ``refused``: for each reason ``code``, ``reason``, ``count``, ``execution_ids``. Raises `NotFound` for the
        workflow.
        """
        selection = {"status": list(status), "older_than": older_than, "dry_run": dry_run}
        total: dict[str, Json] = {}
        cursor: str | None = None
        while not total or cursor is not None:
            page = await self._connection.control_many(
                operation, workflow_id, selection, reason, key=key, said=fields, cursor=cursor
            )
            cursor = page.pop("next_cursor")
            total = added(total, page)
        return total

    async def why_execution(
        self, execution_id: str, node: str | None = None, *, limit: int = WAITS_DEFAULT
    ) -> dict[str, Json]:
        """What an execution waits for: ``waits`` has the nodes that have not ended, with ``waiting_on``, ``on``,
        ``since``, ``until`` and ``moves`` (what would move it, in words); besides them, ``current_states``,
        ``available_events``, ``kept_events`` and ``timers``.

        ``limit``: at most so many nodes, those that wait for other nodes last. ``node``: only that node, by its path,
        followed by those that it waits for. Raises `NotFound`.
        """
        return await self._connection.why(execution_id, node, limit)

    async def suspend_execution(
        self, execution_id: str, reason: str = "", *, key: str | None = None
    ) -> dict[str, Json]:
        """Suspend an execution, and the executions whose end it awaits; answers as `cancel_execution`.

        Nothing starts any more; what runs in workers ends and is recorded. Events, results of children and due timers
        are held in order and taken when it is resumed; its timeout stands still, every other time goes on. Raises
        `NotFound`, `Conflict` when the execution has ended.
        """
        return await self._ask("suspend", execution_id, reason, key)

    async def resume_execution(self, execution_id: str, reason: str = "", *, key: str | None = None) -> dict[str, Json]:
        """Resume a suspended execution, and those that were suspended with it; answers as `cancel_execution`. Raises
        `NotFound`, `Conflict` when the execution has ended.
        """
        return await self._ask("resume", execution_id, reason, key)

    async def freeze(
        self, *, workflow: str | None = None, agent: str | None = None, all: bool = False, reason: str = ""
    ) -> dict[str, Json]:
        """Hold back, within seconds and until `thaw`, the starts of a ``workflow`` (its executions are accepted and
        stay pending), the runs of an ``agent`` (they stay ready), or ``all`` starts and runs; one of the three. What
        runs already goes on, and everything can be cancelled.

        The answer has ``scope``, ``since``, ``by``, ``reason`` and ``changed``. Raises `NotFound` for a workflow that
        there is not.
        """
        scope = _scope(workflow=workflow, agent=agent, everything=all)
        return await self._connection.freeze(scope, reason)

    async def thaw(
        self, *, workflow: str | None = None, agent: str | None = None, all: bool = False
    ) -> dict[str, Json]:
        """Have what was held back go on, in order, within seconds. Raises `NotFound` where nothing was ever frozen."""
        return await self._connection.thaw(_scope(workflow=workflow, agent=agent, everything=all))

    async def list_dead_letters(
        self, execution_id: str | None = None, *, limit: int = LISTED_DEFAULT
    ) -> list[dict[str, Json]]:
        """Messages that their queue gave up, and events that could not be taken or sent, the first sent first: ``id``,
        ``execution_id``, ``reason``, ``at``, ``redriven_at``. Of an execution, or of all."""
        return await self._connection.dead_letters(execution_id, limit)

    async def redrive(self, execution_id: str | None = None, *, dry_run: bool = False) -> list[dict[str, Json]]:
        """Bring dead letters back, of an execution or all of them, those of one execution in order: each with its
        ``outcome`` (``sent``, ``would_send``, ``left``) and ``why`` it was left. What was brought back is left by later
        calls. ``dry_run``: only say what would be."""
        return await self._connection.redrive(execution_id, dry_run=dry_run)

    async def list_freezes(self) -> list[dict[str, Json]]:
        """What is frozen, and what is being thawed."""
        return await self._connection.freezes()

    async def list_limits(self) -> list[dict[str, Json]]:
        """All limiters: their names and what they allow."""
        await self.scheduler.settle()
        return await self._connection.limits()

    async def get_limit(self, name: str) -> dict[str, Json]:
        """A limiter: what it allows, what is taken of it, and who waits. Raises `NotFound`."""
        await self.scheduler.settle()
        return await self._connection.limit(name)

    async def set_limit(self, name: str, **fields: Json) -> dict[str, Json]:
        """Set a limiter over what a file declares of it, in force within seconds::

            await engine.set_limit("openai", requests="60/min", concurrency=20)
            await engine.set_limit("openai", paused=True)

        The fields are those of a file; ``paused`` alone pauses it or resumes it. Raises `EngineError`.
        """
        await self.scheduler.settle()
        return await self._connection.put_limit(name, fields)

    async def delete_limit(self, name: str) -> dict[str, Json]:
        """Set a limiter no more: what a file declares is in force again; what waits for one that is gone begins. Raises
        `NotFound`."""
        await self.scheduler.settle()
        return await self._connection.delete_limit(name)

    async def wait(self, execution_id: str, timeout: float | None = None) -> dict[str, Json]:
        """The execution document once it has ended, however; once more, if this engine has asked it to go on. Raises
        `WaitTimeout` after ``timeout`` seconds, `NotFound`.
        """
        end = time.monotonic() + timeout if timeout is not None else None
        reopens_by = time.monotonic() + REOPENING_SECONDS_MAX
        while True:
            left = max(end - time.monotonic(), 0) if end is not None else None
            document = await self._connection.wait(execution_id, left)
            now = time.monotonic()
            if document["attempt"] >= self._attempts.get(execution_id, 1) or now >= reopens_by:
                return document
            if end is not None and now >= end:
                raise WaitTimeout(execution_id, timeout or 0)
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask(
        self, operation: str, execution_id: str, reason: str, key: str | None, said: Mapping[str, Json] = NOTHING
    ) -> dict[str, Json]:
        answer = await self._connection.control(operation, execution_id, reason, key=key, said=said)
        self._attempts[execution_id] = answer["attempt"]
        return answer


def _scope(*, workflow: str | None, agent: str | None, everything: bool) -> str:
    with translated():
        return scope_of(workflow=workflow, agent=agent, everything=everything)


def added(total: dict[str, Json], page: dict[str, Json]) -> dict[str, Json]:
    """What the pages of a request about many executions came to, with one more."""
    if not total:
        return page
    refused = {(one["code"], one["reason"]): one for one in total["refused"]}
    for one in page["refused"]:
        before = refused.setdefault((one["code"], one["reason"]), {**one, "count": 0, "execution_ids": []})
        before["count"] += one["count"]
        before["execution_ids"] = [*before["execution_ids"], *one["execution_ids"]]
    return {
        **page,
        "execution_ids": [*total["execution_ids"], *page["execution_ids"]],
        "changed": total["changed"] + page["changed"],
        "unchanged": total["unchanged"] + page["unchanged"],
        "refused": list(refused.values()),
    }
