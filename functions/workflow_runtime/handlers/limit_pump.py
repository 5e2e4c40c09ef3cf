"""`limits` → the pump of a limiter: what waits in its line begins when there is room and time for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import LIMITS, Function
from workflow_runtime.errors import InvalidEvent, RetryableError
from workflow_runtime.handlers.batches import Record, one_by_one
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.dispatch.pacing import backoff_seconds
from workflow_runtime.services.limits.granting import PERIOD_MS


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    pump = runtime.pump

    def take(record: Record) -> None:
        try:
            granted = pump.take(record["body"])
        except RetryableError:
            with suppress(RetryableError):  # then it comes again after the queue's own visibility timeout
                receives = int(record["attributes"]["ApproximateReceiveCount"])
                runtime.ports.queues.set_visibility(
                    LIMITS, {record["receiptHandle"]: max(backoff_seconds(receives), PERIOD_MS // 1000)}
                )
            raise
        except InvalidEvent as error:
            runtime.dead_letters.record(record["messageId"], record["body"], str(error))
            runtime.count(Metric.DEAD_LETTERS, 1)
            return
        if granted:
            runtime.count(Metric.LIMITS_GRANTED, granted)

    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        return one_by_one(event["Records"], take)

    return handle


handler = on_lambda(create)
