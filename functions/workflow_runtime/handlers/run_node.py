"""`node-<pool>` → the node runner: a batch's orders side by side, each acknowledged by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, EventType

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
        with processors.lent() as processor:
            batch = worker.batch(event["Records"])
            hiding = asyncio.ensure_future(batch.keep_hidden())
            with processor(
                event["Records"], lambda record: batch.take(record.raw_event)
            ):  # without a context: it costs an inspection of `take`
                # What its async_process does, but in the running event loop instead of one of its own.
                processing = [processor._async_process_record(record) for record in processor.records]
                await (processing[0] if len(processing) == 1 else asyncio.gather(*processing))
            hiding.cancel()
            answer = processor.response()
        runtime.count(Metric.ORDERS_TAKEN, len(event["Records"]))
        runtime.end_process_if_stuck()
        return answer

    return handle


def _processor() -> AsyncBatchProcessor:
    return AsyncBatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


handler = on_lambda(create)
