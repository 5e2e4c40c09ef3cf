"""`node-<pool>` → the node runner: a batch's orders side by side, each acknowledged by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.handlers.spare import SpareProcessors
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.work.queue import Worker


def create(runtime: Runtime, function: Function) -> Handler:
    runner = runtime.node_runner(function.timeout_seconds)
    worker = Worker(runner, runtime.ports, function, runtime.dead_letters)

    processors = SpareProcessors(_processor)

    async def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        batch = worker.batch(event["Records"])

        async def take(record: SQSRecord) -> None:
            await batch.take(record.raw_event)

        hiding = asyncio.ensure_future(batch.keep_hidden())
        try:
            with processors.lent() as processor:
                with processor(event["Records"], take):  # without a context: it costs an inspection of `take`
                    # What its async_process does, but in the running event loop instead of one of its own.
                    processing = [processor._async_process_record(record) for record in processor.records]
                    await (processing[0] if len(processing) == 1 else asyncio.gather(*processing))
                answer = processor.response()
        finally:
            hiding.cancel()
        runtime.count(Metric.ORDERS_TAKEN, len(event["Records"]))
        runtime.end_process_if_stuck()
        return answer

    return handle


def _processor() -> AsyncBatchProcessor:
    return AsyncBatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


handler = on_lambda(create)
