"""A town around the real handlers: the shipped workflows, the services that answer by mocks, what others put on the bus
with their own EventBridge client, callers of the API, and time. On either backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tests.handlers.bench import Bench
from tests.handlers.http_requests import ask

from workflow_runtime.deployment.topology import DEAD_LETTERS, DEAD_LETTERS_FIFO, EVENTS
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.invokers.mocks import MockedInvoker, Mocks
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import BusEvent
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.registries import Registries
from workflow_runtime.runtime.services import Runtime

DEFINITIONS = Path(__file__).parents[2] / "definitions"
LEAD_SECONDS = 61  # a far timer's schedule is set a minute early: see `services.timers`


class Town:
    """``shipped``: workflows of `definitions/workflows`, published, with their mocks (whose delays take no time)."""

    def __init__(self, name: str, *shipped: str) -> None:
        self.bench = Bench(name)
        ports, count = self.bench.runtime.ports, self.bench.runtime.count
        invokers: dict[NodeType, Invoker] = Registries(DEFINITIONS).invokers(ports.clock)
        for workflow in shipped:
            mocks = Mocks.load(DEFINITIONS / "mocks" / f"{workflow}.yaml")
            invokers = {kind: MockedInvoker(mocks, kind, other, _no_time) for kind, other in invokers.items()}
        self.bench.runtime = Runtime(ports, lambda: invokers, secrets=EnvironmentSecrets({}), count=count)
        for workflow in shipped:
            self.publish((DEFINITIONS / "workflows" / f"{workflow}.yaml").read_text(encoding="utf-8"))

    def publish(self, source: str) -> None:
        self.bench.runtime.catalog.publish(source.encode())

    # ── events in ──

    def put(self, detail_type: str, *details: Any, source: str = "别的系统") -> None:
        """What another system does: on moto with boto3's `put_events`, from there by the rule."""
        texts = [msgspec.json.encode(detail).decode() for detail in details]
        if self.bench.name == "embedded":
            assert self.bench.backend.ports.bus.publish([BusEvent(source, detail_type, text) for text in texts]) == []
        else:
            entry = {"EventBusName": self.bench.backend.settings.bus_name, "Source": source, "DetailType": detail_type}
            events = self.bench.backend.clients.events
            for start in range(0, len(texts), 10):  # the service takes ten a call
                answer = events.put_events(Entries=[{**entry, "Detail": text} for text in texts[start : start + 10]])
                assert answer["FailedEntryCount"] == 0
        self.bench.settle()

    def send(self, execution_id: str, event: str, data: Any = None, key: str = "") -> Any:
        """Through the API; status and answer."""
        headers = {"idempotency-key": key} if key else None
        answer = ask(self.bench, "POST", f"/executions/{execution_id}/events", {"event": event, "data": data}, headers)
        self.bench.settle()
        return answer

    # ── executions ──

    def start(self, workflow_id: str, input: Any, name: str = "") -> str:
        """Through the API."""
        headers = {"idempotency-key": name} if name else None
        status, answer = ask(self.bench, "POST", f"/workflows/{workflow_id}/execute", {"input": input}, headers)
        assert status in (200, 201, 202), answer
        self.bench.settle()
        return str(answer["execution_id"])

    def shown(self, execution_id: str) -> Any:
        status, document = ask(self.bench, "GET", f"/executions/{execution_id}")
        assert status == 200, document
        return document

    def states(self, execution_id: str) -> list[str]:
        return list(self.shown(execution_id)["current_states"])

    def executions(self, workflow_id: str) -> list[str]:
        status, page = ask(self.bench, "GET", "/executions", query=f"workflow={workflow_id}&limit=100")
        assert status == 200, page
        return [item["execution_id"] for item in page["items"]]

    # ── time ──

    def wait(self, seconds: int) -> None:
        """Time passes; a timer that is due at its end fires, however far it was. What comes earlier must be waited for
        by itself, or it is late."""
        bench = self.bench
        early = max(seconds - LEAD_SECONDS, 0)
        for part in (early, seconds - early + 1):
            bench.pass_time(part)
            bench.backend.scheduler.fire()
            bench.settle()

    def dead(self) -> list[str]:
        """What lies in the dead-letter queues."""
        queues = (DEAD_LETTERS, DEAD_LETTERS_FIFO)
        return [str(record.event_record["body"]) for queue in queues for record in self.bench.receive(queue)]

    def records(self) -> list[Any]:
        """What waits in the queue of events, received and not deleted."""
        return self.bench.receive(EVENTS)

    def close(self) -> None:
        self.bench.close()


async def _no_time(_: float) -> None:
    """The mocks' delays."""


def opened(name: str, *shipped: str) -> Iterator[Town]:
    """For fixtures."""
    town = Town(name, *shipped)
    yield town
    town.close()
