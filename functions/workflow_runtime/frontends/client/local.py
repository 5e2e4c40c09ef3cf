"""A connection to a runtime in this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.bus import EmbeddedBus
from workflow_runtime.definition.identities import same_ids
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.frontends.client.errors import Unavailable, WaitTimeout, translated
from workflow_runtime.frontends.client.mock_targets import unknown_mocks
from workflow_runtime.frontends.client.sources import Source, read_source
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.runtime.workflow_files import workflow_files
from workflow_runtime.services.control.bulk import Selection
from workflow_runtime.services.freeze.requests import switch_json
from workflow_runtime.services.intake.signals import accepted_json, publish_event
from workflow_runtime.services.session_ids import session_id
from workflow_runtime.services.upkeep.redrive import letter_json, redriven_json
from workflow_runtime.services.views.approvals import wanted_of
from workflow_runtime.services.views.executions import header_json
from workflow_runtime.storage.listing import Wanted

LOOK_SECONDS_MIN = 0.005  # between looks at what an event did
LOOK_SECONDS_MAX = 0.5
LOOK_GROWTH = 1.5
PAGE_ITEMS = 100  # executions or dead letters that one page of a request about many asks

logger = logging.getLogger(__name__)


class LocalConnection:
    """See `connection.Connection`; the arguments are those of `WorkflowEngine.local`."""

    def __init__(
        self,
        definitions: str | Path | None = None,
        db: str | Path | None = None,
        mocks: str | Path | Mapping[str, Json] | Mocks | None = None,
    ) -> None:
        self._definitions = Path(definitions) if definitions is not None else None
        self._db = Path(db) if db is not None else None
        self._mocks = mocks
        self._runtime: LocalRuntime | None = None
        self._bus: EmbeddedBus | None = None
        self._plans: dict[str, Plan] = {}
        self._unchecked: Mocks | None = None

    async def open(self) -> None:
        with translated():
            mocks = self._mocks if isinstance(self._mocks, Mocks) or self._mocks is None else Mocks.load(self._mocks)
            self._unchecked = mocks
            if self._definitions is not None and not self._definitions.is_dir():
                raise RequestError("not_found", f"there is no directory {self._definitions}")
            backend = open_backend(self._db)
            try:
                runtime = LocalRuntime(backend, self._definitions, mocks)
                _publish_all(runtime, self._definitions)
            except BaseException:
                backend.close()
                raise
        runtime.start()
        self._runtime, self._bus = runtime, backend.bus

    async def close(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            await runtime.stop()

    async def publish(self, source: Source) -> str:
        with translated():
            published = self._open().services.catalog.publish(source.data, source.file)
        self._plans[published.version.workflow_id] = published.plan
        for finding in published.warnings:
            logger.warning("%s", finding)
        return published.version.workflow_id

    async def publish_agent(self, source: Source, *, force: bool) -> dict[str, Json]:
        agents = self._open().services.agents
        with translated():
            checked = agents.check(source.data)
            published = agents.publish(checked.agent_id, source.data, lambda _: True, force=force)
        return published.json()

    async def agents(self) -> list[dict[str, Json]]:
        with translated():
            return [item.json() for item in self._open().services.agents.list("", None)]

    async def agent(self, agent_id: str, version: int | None) -> dict[str, Json]:
        with translated():
            return self._open().services.agents.in_force(agent_id, version).json()

    async def delete_agent(self, agent_id: str, *, force: bool) -> None:
        with translated():
            self._open().services.agents.remove(agent_id, lambda _: True, force=force)

    async def start(self, workflow_id: str, input: Json, *, version: int | None, idempotency_key: str | None) -> str:
        services = self._open().services
        with translated():
            self._check_mocks(services, workflow_id, version)
            return services.starter.start(workflow_id, input, version=version, start_key=idempotency_key)

    def _check_mocks(self, services: Runtime, workflow_id: str, version: int | None) -> None:
        """Before the first start: by then everything that a mock may be for is published, or lies in the definitions
        directory. Raises `DefinitionError` for mocks of anything else.
        """
        if self._unchecked is None:
            return
        catalog = services.catalog
        plans = [*self._plans.values(), catalog.plan(catalog.version(workflow_id, version))]
        unknown = unknown_mocks(self._unchecked, catalog.catalogue, plans, self._definitions)
        if unknown:
            raise DefinitionError(unknown)
        self._unchecked = None

    async def document(self, execution_id: str) -> dict[str, Json]:
        with translated():
            return self._open().services.documents.document(execution_id)

    async def wait(self, execution_id: str, seconds: float | None) -> dict[str, Json]:
        runtime = self._open()
        with translated():
            try:
                await runtime.wait_ended(execution_id, seconds)
            except TimeoutError:
                raise WaitTimeout(execution_id, seconds or 0) from None
        return await self.document(execution_id)

    async def send_event(
        self, execution_id: str, name: str, data: Json, *, key: str | None, wait: float | None
    ) -> dict[str, Json]:
        signalling = self._open().services.signalling
        with translated():
            sent = signalling.send(execution_id, name, data, key, watched=wait is not None)
            end = time.monotonic() + (wait or 0)
            pause = LOOK_SECONDS_MIN
            while wait is not None:
                result = signalling.result(sent)
                left = end - time.monotonic()
                if result is not None:
                    return result
                if left <= 0:
                    break
                await asyncio.sleep(min(pause, left))
                pause = min(pause * LOOK_GROWTH, LOOK_SECONDS_MAX)
        return accepted_json(sent)

    async def control(
        self, operation: str, execution_id: str, reason: str, *, key: str | None, said: Mapping[str, Json]
    ) -> dict[str, Json]:
        with translated():
            return self._open().services.control.ask(operation, execution_id, reason, key, by="sdk", said=said).json()

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
        chosen = Selection(workflow_id, tuple(selection["status"]), selection["older_than"], bool(selection["dry_run"]))
        with translated():
            bulk = self._open().services.bulk
            found = bulk.ask(operation, chosen, key, PAGE_ITEMS, cursor, reason=reason, by="sdk", said=said)
        return {**found.json(), "next_cursor": found.next}

    async def why(self, execution_id: str, node: str | None, limit: int) -> dict[str, Json]:
        explanations = self._open().services.explanations
        with translated():
            found = explanations.why(execution_id, limit) if node is None else explanations.why_node(execution_id, node)
            return found.json()

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
        services = self._open().services
        with translated():
            wanted = wanted_of(services.ports.clock.now(), assignee, workflow, older_than, status, kind)
            found: list[dict[str, Json]] = []
            page = services.approval_views.list(wanted, limit)
            while True:
                found += page.items
                if page.next is None or len(found) >= limit:
                    return found[:limit]
                page = services.approval_views.list(wanted, limit, page.next)

    async def approval(self, approval_id: str) -> dict[str, Json]:
        with translated():
            return self._open().services.approval_views.get(approval_id)

    async def answer(
        self, approval_id: str, approved: bool, *, data: Json, comment: str, by: str | None, key: str | None
    ) -> dict[str, Json]:
        approvals = self._open().services.approvals
        with translated():
            return approvals.answer(approval_id, approved, by=by or "", data=data, comment=comment, key=key).json()

    async def delegate(
        self, approval_id: str, to: str, *, reason: str, by: str | None, key: str | None
    ) -> dict[str, Json]:
        with translated():
            return self._open().services.approvals.delegate(approval_id, to, by=by or "", reason=reason, key=key).json()

    async def task(self, what: str, said: dict[str, Json]) -> bool:
        tasks = self._open().services.tasks
        with translated():
            match what:
                case "complete":
                    return tasks.complete(**said)
                case "fail":
                    return tasks.fail(**said)
                case _:
                    tasks.heartbeat(**said)
                    return True

    async def freeze(self, scope: str, reason: str) -> dict[str, Json]:
        with translated():
            return self._open().services.freezes.freeze(scope, reason, by="sdk").json()

    async def thaw(self, scope: str) -> dict[str, Json]:
        with translated():
            return self._open().services.freezes.thaw(scope).json()

    async def dead_letters(self, execution_id: str | None, limit: int) -> list[dict[str, Json]]:
        with translated():
            letters, _ = self._open().services.documents.list_dead_letters(execution_id, limit, None)
            return list(map(letter_json, letters))

    async def redrive(self, execution_id: str | None, *, dry_run: bool) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = []
        with translated():
            redrive, after = self._open().services.redrive, None
            while True:
                page = redrive.redrive(execution_id, PAGE_ITEMS, after, dry_run=dry_run)
                found += map(redriven_json, page.letters)
                if page.next is None:
                    return found
                after = page.next

    async def freezes(self) -> list[dict[str, Json]]:
        with translated():
            return [switch_json(switch) for switch in self._open().services.freezes.list()]

    async def limits(self) -> list[dict[str, Json]]:
        with translated():
            return list(self._open().services.limits.list())

    async def limit(self, name: str) -> dict[str, Json]:
        with translated():
            return self._open().services.limits.get(name)

    async def put_limit(self, name: str, fields: Mapping[str, Json]) -> dict[str, Json]:
        with translated():
            return self._open().services.limits.put(name, fields)

    async def delete_limit(self, name: str) -> dict[str, Json]:
        with translated():
            return self._open().services.limits.delete(name)

    async def sessions(self, agent: str | None, tenant: str | None, limit: int) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = []
        with translated():
            views, after = self._open().services.sessions, None
            while True:
                page = views.list(agent, tenant, limit - len(found), after)
                found += page.items
                if page.next is None or len(found) >= limit:
                    return found
                after = page.next

    async def session(self, agent: str, session: str, tenant: str) -> dict[str, Json]:
        with translated():
            views, id = self._open().services.sessions, session_id(agent, tenant, session)
            document = views.get(id, PAGE_ITEMS)
            told: Any = document["told"]
            while (following := document.pop("next")) is not None:
                document = views.get(id, PAGE_ITEMS, int(following))
                told += document["told"]
            return {**document, "told": told}

    async def delete_session(self, agent: str, session: str, tenant: str) -> None:
        with translated():
            self._open().services.sessions.delete(session_id(agent, tenant, session))

    async def publish_event(self, source: str, detail_type: str, detail: dict[str, Json]) -> None:
        with translated():
            publish_event(self._open().ports.bus, source, detail_type, detail)

    def listen(
        self,
        execution_id: str | None,  # noqa: ARG002  all events of the bus are there: who is told of them chooses
        workflow_id: str | None,  # noqa: ARG002
        deliver: Callable[[dict[str, Json]], None],
    ) -> Callable[[], None]:
        self._open()
        assert self._bus is not None
        loop = asyncio.get_running_loop()
        return self._bus.subscribe(lambda event: _call_in(loop, deliver, event))

    async def list(
        self, workflow_id: str | None, status: str | None, since: datetime | None, limit: int
    ) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = []
        with translated():
            services = self._open().services
            if workflow_id is not None:
                services.catalog.version(workflow_id)
            since_ms = int(since.timestamp() * 1000) if since is not None else 0
            wanted = Wanted(_statuses(status), workflow_id, None, since_ms)
            while True:
                page = services.documents.list(wanted, limit - len(found))
                found += map(header_json, page.headers)
                if page.next is None or len(found) >= limit:
                    return found
                wanted = replace(wanted, before=page.next)

    def _open(self) -> LocalRuntime:
        if self._runtime is None:
            raise Unavailable("the engine is not open: use `async with WorkflowEngine.local(…) as engine`", "not_open")
        return self._runtime


def _call_in(
    loop: asyncio.AbstractEventLoop, deliver: Callable[[dict[str, Json]], None], event: dict[str, Json]
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody listens any more
        loop.call_soon_threadsafe(deliver, event)


def _publish_all(runtime: LocalRuntime, definitions: Path | None) -> None:
    """Raises `DefinitionError` with the findings of every file."""
    sources = [read_source(file) for file in workflow_files(definitions)]
    findings = same_ids((source.data, source.file) for source in sources)
    clashing = {finding.file for finding in findings}
    for source in sources:
        if source.file in clashing:
            continue
        try:
            runtime.services.catalog.publish(source.data, source.file)
        except DefinitionError as error:
            findings += error.findings
    if findings:
        raise DefinitionError(findings)


def _statuses(status: str | None) -> list[ExecutionStatus]:
    if status is None:
        return list(ExecutionStatus)
    try:
        return [ExecutionStatus(status)]
    except ValueError:
        known = ", ".join(ExecutionStatus)
        raise RequestError("invalid_input", f"{status!r} is not a status of an execution; known: {known}") from None
