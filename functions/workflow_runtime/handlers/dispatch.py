"""`dispatch.fifo` → the dispatcher: an execution's events in order, executions side by side, partial failures by FIFO
group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import DISPATCH, Function
from workflow_runtime.errors import RetryableError
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.handlers.spare import SpareProcessors
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.dispatch.mailbox import MailboxBatch


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    processors = SpareProcessors(_processor)

    def handle(event: LambdaEvent, context: Any) -> Any:
        with runtime.dispatcher.budget.of(context.get_remaining_time_in_millis()):
            return dispatch(event)

    def dispatch(event: LambdaEvent) -> Any:
        batch = MailboxBatch(runtime.dispatcher, event["Records"], runtime.ports.together, runtime.tally)

        def take(record: SQSRecord) -> None:
            if not batch.take(record.message_id):
                raise RetryableError("delivered again later")

        with processors.lent() as processor:
            answer = process_partial_response(event, take, processor)  # a context would cost an inspection of `take`
        _delay(runtime, batch.postponed)
        runtime.count(Metric.EVENTS_DISPATCHED, len(event["Records"]))
        runtime.write_counts()
        return answer

    return handle


def _processor() -> SqsFifoPartialProcessor:
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    processor.raise_on_entire_batch_failure = False  # failures are answered one by one, also when all failed
    return processor


def _delay(runtime: Runtime, postponed: Mapping[str, int]) -> None:
    if postponed:
        with suppress(RetryableError):  # then they come again after the queue's own visibility timeout
            runtime.ports.queues.set_visibility(DISPATCH, postponed)


handler = on_lambda(create)
