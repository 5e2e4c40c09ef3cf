"""The whole runtime in one process: a backend, the services on it, the pump that runs the handlers of `topology`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from workflow_runtime.backends.embedded.pump import Handler, Pump
from workflow_runtime.deployment.topology import TOPOLOGY, Function
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.ports import Poller, Ports, ScheduleRunner
from workflow_runtime.runtime.aws import catalogue_of, node_invokers
from workflow_runtime.runtime.services import EnvironmentSecrets, Runtime, workflow_env

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.invokers.mocks import Mocks
    from workflow_runtime.plan.specs import NodeType


class Backend(Protocol):
    """An open backend: ports, the receiving side of its queues, and a hook that is told of sent messages."""

    ports: Ports
    poller: Poller
    scheduler: ScheduleRunner

    @property
    def on_send(self) -> Callable[[str], None]: ...

    @on_send.setter
    def on_send(self, hook: Callable[[str], None], /) -> None: ...

    def bus_events(self) -> list[dict[str, Any]]: ...

    def close(self) -> None: ...


class LocalRuntime:
    """A runtime on ``backend``, with agents and tools from ``definitions`` (a directory) and perhaps ``mocks``.

    ``wrap`` is put around what runs agents, and around what runs tools.
    """

    def __init__(
        self,
        backend: Backend,
        definitions: Path | None = None,
        mocks: Mocks | None = None,
        *,
        reach: Reach = LOCAL_REACH,
        environ: Mapping[str, str] | None = None,
        wrap: Callable[[Invoker], Invoker] | None = None,
    ) -> None:
        def invokers() -> dict[NodeType, Invoker]:
            found = node_invokers(definitions, reach, backend.ports, mocks)
            return found if wrap is None else {kind: wrap(invoker) for kind, invoker in found.items()}

        self.backend = backend
        self.services = Runtime(
            backend.ports,
            invokers,
            secrets=EnvironmentSecrets(environ),
            env=workflow_env(environ or {}),
            catalogue=catalogue_of(definitions, mocks),
        )
        handlers = {
            function.name: handler_of(function, self.services) for function in TOPOLOGY.functions if function.sources
        }
        self.pump = Pump(backend.poller, backend.ports.clock, TOPOLOGY, handlers, backend.scheduler)
        backend.on_send = self.pump.notice

    async def run_until_ended(self, execution_id: str) -> str:
        """Run everything there is to run until this execution has ended; its status, which is open if it waits for the
        outside.
        """

        def ended() -> bool:
            return self.services.documents.status(execution_id).terminal

        await self.pump.run(ended)
        return self.services.documents.status(execution_id)

    async def settle(
        self, execution_id: str, until: int | None = None, enough: Callable[[], bool] = lambda: False
    ) -> str:
        """Run what can run without outside input and without timers, or those due ``until`` then (see `Pump.run`), or
        until it is ``enough``; the execution's status.
        """

        def ended() -> bool:
            return self.services.documents.status(execution_id).terminal or enough()

        await self.pump.run(ended, settle=until is None, until=until)
        return self.services.documents.status(execution_id)

    def close(self) -> None:
        self.backend.close()

    def __enter__(self) -> LocalRuntime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def handler_of(function: Function, runtime: Runtime) -> Handler:
    """The handler that Lambda would run for this function, made for our runtime."""
    module, _, _ = function.handler.rpartition(".")
    handler: Handler = importlib.import_module(module).create(runtime, function)
    return handler
