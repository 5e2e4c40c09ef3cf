"""Real handlers fed with real SQS events, on either backend; time passes only when a test says so."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from msgspec.structs import replace
from tests.ahead_clock import AheadClock

from workflow_runtime.backends.embedded.backend import open_backend, run_at_once
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY
from workflow_runtime.errors import NodeError
from workflow_runtime.handlers import api
from workflow_runtime.handlers.lifetime import Handler
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports, SqsRecord
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime

START = 1_700_000_000_000
LONGER_THAN_ANY_TIMEOUT_SECONDS = 6000
SOURCES = {source.queue: function for function in WHOLE_TOPOLOGY.functions for source in function.sources}

Tool = Callable[[NodeCall], Any]


class Tools:
    """Agents and tools by id; ``echo`` returns its inputs."""

    abandoned = 0

    def __init__(self) -> None:
        self.tools: dict[str, Tool] = {"echo": lambda call: call.inputs}
        self.calls: list[str] = []

    def limiters(self, _target: str) -> tuple[str, ...]:
        return ()

    def budget(self, _target: str) -> None:
        return None

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        self.calls.append(call.path)
        if call.target not in self.tools:
            raise NodeError("not_found", call.target)
        value = self.tools[call.target](call)
        return NodeResult(await value if inspect.isawaitable(value) else value)


class Bench:
    """``name``: ``embedded`` or ``moto``. ``one_call_at_a_time``: workers make no two port calls at once, to be
    counted.
    """

    def __init__(self, name: str, *, one_call_at_a_time: bool = False) -> None:
        self.name = name
        self.clock: Any = VirtualClock(START) if name == "embedded" else AheadClock()
        self.backend: Any = open_backend(None, self.clock) if name == "embedded" else simulated.open_backend(self.clock)
        self.tools = Tools()
        self.counts: list[tuple[str, int]] = []
        secrets = EnvironmentSecrets({"WORKFLOW_SECRET_TOKEN": "s3cr3t"})
        self.invokers: dict[NodeType, Any] = {NodeType.AGENT: self.tools, NodeType.TOOL: self.tools}
        ports = self.backend.ports
        if one_call_at_a_time:
            ports = replace(ports, offload=run_at_once)
        self.runtime_on = partial(
            Runtime, invokers=lambda: self.invokers, secrets=secrets, count=lambda *count: self.counts.append(count)
        )
        self.runtime = self.runtime_on(ports)
        self._apis: dict[Runtime, Handler] = {}

    @contextmanager
    def on(self, ports: Ports) -> Iterator[None]:
        """Meanwhile the handlers work on these ports."""
        usual, self.runtime = self.runtime, self.runtime_on(ports)
        try:
            yield
        finally:
            self.runtime = usual

    def start(self, nodes: str, input: Any = None, workflow_id: str = "w") -> str:
        source = f"workflow:\n  id: {workflow_id}\n  nodes:\n{nodes}"
        self.runtime.catalog.publish(source.encode())
        return self.runtime.starter.start(workflow_id, input)

    def receive(self, queue: str, maximum: int = 10) -> list[SqsRecord]:
        records = list(self.backend.poller.receive(queue, maximum))
        if self.name != "embedded":  # moto notes the system's time, and this clock is ahead of it
            for record in records:
                attributes: Any = record.event_record["attributes"]
                attributes["SentTimestamp"] = str(int(attributes["SentTimestamp"]) + self.clock.ahead_ms)
        return records

    def invoke(self, queue: str, records: list[SqsRecord], *, dies: bool = False) -> list[str]:
        """What Lambda does: the function, then deleting what it did not return. Returns the ids that it returned.

        ``dies``: between the two, so that the queue delivers everything again.
        """
        function = SOURCES[queue]
        handler = importlib.import_module(function.handler.rpartition(".")[0]).create(self.runtime, function)
        answer = handler({"Records": [record.event_record for record in records]}, LocalContext(function))
        if inspect.isawaitable(answer):
            answer = asyncio.run(_result(answer))
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        done = [record.receipt_handle for record in records if record.event_record["messageId"] not in failed]
        if not dies:
            self.backend.poller.delete(queue, done)
        return failed

    def api(self) -> Handler:
        """The API's handler, made once for each runtime, as a function makes it."""
        if self.runtime not in self._apis:
            self._apis[self.runtime] = api.create(self.runtime, WHOLE_TOPOLOGY.function("api"))
        return self._apis[self.runtime]

    def drain(self) -> None:
        """Deliver until nothing is left, letting time pass when nothing is visible."""
        for _ in range(1000):
            delivered = [self.deliver(queue) for queue in SOURCES]
            if any(delivered):
                continue
            if self.backend.poller.next_visible_at() is None:
                return
            self.pass_time(LONGER_THAN_ANY_TIMEOUT_SECONDS)
        raise AssertionError("the queues are never empty")

    def settle(self) -> None:
        """Deliver what is visible now, until nothing is."""
        while sum(self.deliver(queue) for queue in SOURCES):
            pass

    def deliver(self, queue: str) -> bool:
        """Deliver one batch, if something is visible; whether there was anything."""
        records = self.receive(queue, SOURCES[queue].sources[0].batch_size)
        if records:
            self.invoke(queue, records)
        return bool(records)

    def pass_time(self, seconds: int) -> None:
        if self.name == "embedded":
            self.clock.advance_to(self.clock.now() + seconds * 1000)
        else:
            self.clock.pass_time(seconds)

    def document(self, execution_id: str) -> dict[str, Any]:
        return self.runtime.documents.document(execution_id)

    def close(self) -> None:
        self.backend.close()


async def _result(answer: Any) -> Any:
    return await answer
