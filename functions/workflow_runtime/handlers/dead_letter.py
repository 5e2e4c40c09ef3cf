"""`dead-letters`, `dead-letters.fifo` → each dead letter is recorded, and its sender is told."""

from __future__ import annotations

from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.batches import Record, one_by_one
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    dead_letters = runtime.dead_letters

    def take(record: Record) -> None:
        dead_letters.take(record)
        runtime.count(Metric.DEAD_LETTERS, 1)

    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        return one_by_one(event["Records"], take)  # dead letters have no order, also of the FIFO queue

    return handle


handler = on_lambda(create)
