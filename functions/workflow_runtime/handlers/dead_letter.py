"""`dead-letters`, `dead-letters.fifo` → each dead letter is recorded, and its sender is told."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.runtime.services import Runtime


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    def take(record: SQSRecord) -> None:
        runtime.dead_letters.take(record.raw_event)
        runtime.count(Metric.DEAD_LETTERS, 1)

    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, take, processor)  # dead letters have no order, also of the FIFO queue

    return handle


handler = on_lambda(create)
