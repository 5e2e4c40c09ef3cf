"""`events` → ingest: events of the bus and starts by schedules, each acknowledged by itself."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.intake.events import EventBatch


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        batch = EventBatch(runtime.ingest, event["Records"])

        def take(record: SQSRecord) -> None:
            batch.take(record.message_id)

        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        answer = process_partial_response(event, take, processor)  # a context would cost an inspection of `take`
        runtime.count(Metric.EVENTS_INGESTED, len(event["Records"]))
        return answer

    return handle


handler = on_lambda(create)
