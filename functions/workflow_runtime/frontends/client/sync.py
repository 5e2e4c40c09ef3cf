"""`SyncWorkflowEngine`: the engine for code without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET

from workflow_runtime.frontends.client.agents import SyncAgentMethods
from workflow_runtime.frontends.client.engine import NOTHING, WAITS_DEFAULT, WorkflowEngine
from workflow_runtime.frontends.client.events import EventBus, Handler, Subscription
from workflow_runtime.frontends.client.limits import ResourceQuota, Scheduler
from workflow_runtime.frontends.client.people import LISTED_DEFAULT, SyncPeopleMethods
from workflow_runtime.frontends.client.sessions import SyncSessionMethods
from workflow_runtime.frontends.client.sources import Definition
from workflow_runtime.language.json_values import Json

if TYPE_CHECKING:
    from typing import Self

    from workflow_runtime.invokers.mocks import Mocks

Result = TypeVar("Result")


class SyncEventBus:
    """`EventBus` with ordinary methods. Handlers are called in the engine's own thread."""

    def __init__(self, bus: EventBus, call: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._bus = bus
        self._call = call

    def subscribe(
        self, topic: str, handler: Handler, *, execution_id: str | None = None, workflow_id: str | None = None
    ) -> Subscription:
        async def subscribe() -> Subscription:
            return self._bus.subscribe(topic, handler, execution_id=execution_id, workflow_id=workflow_id)

        subscription: Subscription = self._call(subscribe())
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        async def unsubscribe() -> None:
            self._bus.unsubscribe(subscription)

        self._call(unsubscribe())

    def publish(self, detail_type: str, detail: Mapping[str, Json], *, source: str = "sdk") -> None:
        self._call(self._bus.publish(detail_type, detail, source=source))


class SyncWorkflowEngine(SyncPeopleMethods, SyncSessionMethods, SyncAgentMethods):
    """`WorkflowEngine` with ordinary methods; may be called from any thread.

    It has an event loop in a thread of its own, so that executions of a local engine go on between calls. The methods
    mean and raise what those of `WorkflowEngine` do.
    """

    def __init__(self, engine: WorkflowEngine) -> None:
        self._engine = self._people = self._sessions = self._agents = engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def local(
        cls,
        definitions: str | Path | None = None,
        *,
        db: str | Path | None = None,
        mocks: str | Path | Mapping[str, Json] | Mocks | None = None,
        quota: ResourceQuota | None = None,
    ) -> Self:
        return cls(WorkflowEngine.local(definitions, db=db, mocks=mocks, quota=quota))

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
        return cls(WorkflowEngine.remote(url, headers=headers, sign=sign, timeout=timeout, quota=quota))

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="workflow-engine", daemon=True)
        self._thread.start()
        try:
            self._call(self._engine.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._call(self._engine.__aexit__(kind, error, traceback))
        finally:
            self._stop()

    def create_workflow(self, definition: Definition) -> str:
        return self._call(self._engine.create_workflow(definition))

    def execute_workflow(
        self,
        workflow_id: str,
        input: Json = None,
        wait: float | None = None,
        *,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        return self._call(
            self._engine.execute_workflow(workflow_id, input, wait, version=version, idempotency_key=idempotency_key)
        )

    def get_execution_status(self, execution_id: str) -> dict[str, Json]:
        return self._call(self._engine.get_execution_status(execution_id))

    def list_executions(
        self,
        workflow_id: str | None = None,
        status: str | None = None,
        *,
        since: datetime | None = None,
        limit: int = LISTED_DEFAULT,
    ) -> list[dict[str, Json]]:
        return self._call(self._engine.list_executions(workflow_id, status, since=since, limit=limit))

    def send_event(
        self,
        execution_id: str,
        name: str,
        data: Json = None,
        *,
        key: str | None = None,
        wait: float | None = None,
    ) -> dict[str, Json]:
        return self._call(self._engine.send_event(execution_id, name, data, key=key, wait=wait))

    def cancel_execution(self, execution_id: str, reason: str = "", *, key: str | None = None) -> dict[str, Json]:
        return self._call(self._engine.cancel_execution(execution_id, reason, key=key))

    def compensate_execution(self, execution_id: str, reason: str = "", *, key: str | None = None) -> dict[str, Json]:
        return self._call(self._engine.compensate_execution(execution_id, reason, key=key))

    def retry_execution(
        self,
        execution_id: str,
        reason: str = "",
        *,
        from_node: str = "",
        variables: dict[str, Json] | None = None,
        key: str | None = None,
    ) -> dict[str, Json]:
        return self._call(
            self._engine.retry_execution(execution_id, reason, from_node=from_node, variables=variables, key=key)
        )

    def skip_node(
        self, execution_id: str, path: str, reason: str = "", *, output: Json = UNSET, key: str | None = None
    ) -> dict[str, Json]:
        return self._call(self._engine.skip_node(execution_id, path, reason, output=output, key=key))

    def control_executions(
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
        return self._call(
            self._engine.control_executions(
                operation,
                workflow_id,
                status=status,
                older_than=older_than,
                reason=reason,
                key=key,
                dry_run=dry_run,
                fields=fields,
            )
        )

    def why_execution(
        self, execution_id: str, node: str | None = None, *, limit: int = WAITS_DEFAULT
    ) -> dict[str, Json]:
        return self._call(self._engine.why_execution(execution_id, node, limit=limit))

    def suspend_execution(self, execution_id: str, reason: str = "", *, key: str | None = None) -> dict[str, Json]:
        return self._call(self._engine.suspend_execution(execution_id, reason, key=key))

    def resume_execution(self, execution_id: str, reason: str = "", *, key: str | None = None) -> dict[str, Json]:
        return self._call(self._engine.resume_execution(execution_id, reason, key=key))

    def freeze(
        self, *, workflow: str | None = None, agent: str | None = None, all: bool = False, reason: str = ""
    ) -> dict[str, Json]:
        return self._call(self._engine.freeze(workflow=workflow, agent=agent, all=all, reason=reason))

    def thaw(self, *, workflow: str | None = None, agent: str | None = None, all: bool = False) -> dict[str, Json]:
        return self._call(self._engine.thaw(workflow=workflow, agent=agent, all=all))

    def list_dead_letters(
        self, execution_id: str | None = None, *, limit: int = LISTED_DEFAULT
    ) -> list[dict[str, Json]]:
        return self._call(self._engine.list_dead_letters(execution_id, limit=limit))

    def redrive(self, execution_id: str | None = None, *, dry_run: bool = False) -> list[dict[str, Json]]:
        return self._call(self._engine.redrive(execution_id, dry_run=dry_run))

    def list_freezes(self) -> list[dict[str, Json]]:
        return self._call(self._engine.list_freezes())

    def list_limits(self) -> list[dict[str, Json]]:
        return self._call(self._engine.list_limits())

    def get_limit(self, name: str) -> dict[str, Json]:
        return self._call(self._engine.get_limit(name))

    def set_limit(self, name: str, **fields: Json) -> dict[str, Json]:
        return self._call(self._engine.set_limit(name, **fields))

    def delete_limit(self, name: str) -> dict[str, Json]:
        return self._call(self._engine.delete_limit(name))

    @property
    def scheduler(self) -> Scheduler:
        return self._engine.scheduler

    @property
    def event_bus(self) -> SyncEventBus:
        return SyncEventBus(self._engine.event_bus, self._call)

    def wait(self, execution_id: str, timeout: float | None = None) -> dict[str, Json]:
        return self._call(self._engine.wait(execution_id, timeout))

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            work.close()
            raise RuntimeError("the engine is not open: use `with SyncWorkflowEngine.local(…) as engine`")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupted caller does not leave its call behind
            raise

    def _stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()
