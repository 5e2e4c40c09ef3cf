"""`node-<pool>` → the node runner: a batch's orders side by side, each acknowledged by itself."""

from __future__ import annotations

from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.batches import side_by_side
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.work.queue import Worker


def create(runtime: Runtime, function: Function) -> Handler:
    runner = runtime.node_runner(function.timeout_seconds)
    worker = Worker(runner, runtime.ports, function, runtime.dead_letters)

    async def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        batch = worker.batch(event["Records"])
        hiding = batch.keep_hidden()
        try:
            answer = await side_by_side(event["Records"], batch.take)
        finally:
            hiding.cancel()
        runtime.count(Metric.ORDERS_TAKEN, len(event["Records"]))
        runtime.end_process_if_stuck()
        return answer

    return handle


handler = on_lambda(create)
