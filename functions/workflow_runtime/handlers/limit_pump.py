"""`limits` → the pump of a limiter: what waits in its line begins when there is room and time for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import LIMITS, Function
from workflow_runtime.errors import InvalidEvent, RetryableError
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.dispatch.pacing import backoff_seconds
from workflow_runtime.services.limits.granting import PERIOD_MS


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    def take(record: SQSRecord) -> None:
        try:
            granted = runtime.pump.take(record.body)
        except RetryableError:
            with suppress(RetryableError):  # then it comes again after the queue's own visibility timeout
                receives = int(record.attributes.approximate_receive_count)
                runtime.ports.queues.set_visibility(
                    LIMITS, {record.receipt_handle: max(backoff_seconds(receives), PERIOD_MS // 1000)}
                )
            raise
        except InvalidEvent as error:
            runtime.dead_letters.record(record.message_id, record.body, str(error))
            runtime.count(Metric.DEAD_LETTERS, 1)
            return
        if granted:
            runtime.count(Metric.LIMITS_GRANTED, granted)

    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, take, processor)

    return handle


handler = on_lambda(create)
