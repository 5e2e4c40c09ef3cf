"""Makes the samples in `events/` of what queues bring: one small story, told by the real handlers at a fixed time.

A workflow `greeting` is created and started, a customer's ticket too; both take their first steps. Ids are the same
whenever the story is told, so `awr invoke` can be fed with its samples one by one, with one `--db`.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import (
    DEAD_LETTERS,
    DEAD_LETTERS_FIFO,
    DISPATCH,
    EVENTS,
    LIMITS,
    SWEEP,
    TIMERS,
    TOPOLOGY,
    node_queue,
)
from workflow_runtime.engine.events import Poked
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.ports import Message
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.registries import Registries
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.catalog.triggers import ScheduledStart
from workflow_runtime.services.messages import Timer, mail_message, timer_body
from workflow_runtime.storage.limiters import LimiterName

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "events"
DEFINITIONS = ROOT / "definitions"
MOCKS = DEFINITIONS / "mocks" / "customer_support.yaml"
START = 1_700_000_000_000
SECRETS = {"WORKFLOW_SECRET_WEBHOOK_KEY": "s3cr3t"}

Event = dict[str, Any]


def sample(name: str) -> Event:
    """A sample by its path below `events/`, without the suffix."""
    event: Event = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return event


class Story:
    """Everything in memory; ``samples`` are what it tells, by name."""

    def __init__(self) -> None:
        self.backend = open_backend(clock=VirtualClock(START))
        ports, numbers, mocks = self.backend.ports, count(1), Mocks.load(MOCKS)
        self.runtime = Runtime(
            ports,
            lambda: Registries(DEFINITIONS, mocks).invokers(ports.clock),
            secrets=EnvironmentSecrets(SECRETS),
            new_id=lambda: f"{next(numbers):032x}",
        )
        self.samples: dict[str, Event] = {}

    def tell(self) -> Mapping[str, Event]:
        send = self.backend.ports.queues.send
        self.runtime.catalog.publish((DEFINITIONS / "workflows" / "customer_support.yaml").read_bytes())
        self._invoke("api", sample("api/create_workflow"))
        started = json.loads(self._invoke("api", sample("api/start_execution"))["body"])
        self._invoke("api", sample("api/start_ticket"))
        self._take("dispatch/poked", DISPATCH)
        order = self._take("run_node_agent/order", node_queue("agent"))
        self._take("run_node_tool/order", node_queue("tool"))
        self._take("dispatch/node_succeeded", DISPATCH)

        execution_id = str(started["execution_id"])
        due = [Timer(execution_id, "reminder", START), Timer(execution_id, "deadline", START + 60_000)]
        send(TIMERS, [Message(timer_body(timer)) for timer in due])
        self._take("deliver_timer/timers", TIMERS)
        send(EVENTS, [Message(_body(ScheduledStart("greeting", "0" * 40, "2023-11-14T22:13:20Z")))])
        self._take("ingest_event/schedule", EVENTS)
        send(DEAD_LETTERS, [Message(order["Records"][0]["body"]), Message("neither an order nor a timer")])
        self._take("dead_letter/order", DEAD_LETTERS)
        send(DEAD_LETTERS_FIFO, [mail_message(execution_id, Poked("poke:sample", START), "sample")])
        self._take("dead_letter/mail", DEAD_LETTERS_FIFO)
        self.runtime.lines.nudge(LimiterName("openai"))
        self._take("limit_pump/nudge", LIMITS)
        send(SWEEP, [Message("{}")])
        self._take("sweep/tick", SWEEP)
        return self.samples

    def _take(self, name: str, queue: str) -> Event:
        """What waits in a queue is the sample of this name; then its function takes it."""
        records = self.backend.poller.receive(queue, 10)
        event = {"Records": [_deployed(record.event_record, queue) for record in records]}
        self.samples[name] = event
        (function,) = (each for each in TOPOLOGY.functions if queue in {source.queue for source in each.sources})
        assert self._invoke(function.name, event) == {"batchItemFailures": []}
        self.backend.poller.delete(queue, [record.receipt_handle for record in records])
        return event

    def _invoke(self, name: str, event: Event) -> Any:
        function = TOPOLOGY.function(name)
        handler = importlib.import_module(function.handler.rpartition(".")[0]).create(self.runtime, function)
        answer = handler(event, LocalContext(function))
        return asyncio.run(_result(answer)) if inspect.isawaitable(answer) else answer


def _deployed(record: Mapping[str, Any], queue: str) -> Event:
    """A record of the embedded queues, as a deployed queue's."""
    here = {"eventSourceARN": f"arn:aws:sqs:eu-central-1:123456789012:awr-{queue}", "awsRegion": "eu-central-1"}
    return {**record, **here}


def _body(start: ScheduledStart) -> str:
    return json.dumps({"schedule": {"workflow_id": start.workflow_id, "trigger": start.trigger, "at": start.at}})


async def _result(answer: Any) -> Any:
    return await answer
