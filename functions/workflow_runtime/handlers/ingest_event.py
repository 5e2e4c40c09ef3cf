"""`events` → ingest: events of the bus and starts by schedules, each acknowledged by itself."""

from __future__ import annotations

from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.batches import one_by_one
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.intake.events import EventBatch


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    ingest = runtime.ingest

    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        batch = EventBatch(ingest, event["Records"])
        answer = one_by_one(event["Records"], lambda record: batch.take(record["messageId"]))
        runtime.count(Metric.EVENTS_INGESTED, len(event["Records"]))
        return answer

    return handle


handler = on_lambda(create)
