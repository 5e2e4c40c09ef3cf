"""`timers` → timers that are due go to their executions; the others wait on."""

from __future__ import annotations

from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.handlers.batches import Record, one_by_one
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.messages import parse_timer


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    timers = runtime.timers

    def take(record: Record) -> None:
        try:
            timer = parse_timer(record["body"])
        except InvalidEvent as error:
            runtime.dead_letters.record(record["messageId"], record["body"], str(error))
            runtime.count(Metric.DEAD_LETTERS, 1)
            return
        lateness = timers.deliver(timer)
        if lateness is not None:
            runtime.count(Metric.TIMERS_DELIVERED, 1)
            runtime.count(Metric.TIMER_LATENESS, lateness)

    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        return one_by_one(event["Records"], take)

    return handle


handler = on_lambda(create)
