"""`sweep` → a tick has thaws come to their end, and every shard of what is due swept by its own message."""

from __future__ import annotations

import logging
from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import RetryableError
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.upkeep.sweep import shard_in

logger = logging.getLogger("workflow_runtime.handlers.sweep")


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    freezes, sweep = runtime.freezes, runtime.sweep

    def handle(event: LambdaEvent, context: Any) -> dict[str, Any]:  # noqa: ARG001  Lambda passes it
        failed: list[dict[str, str]] = []
        for record in event["Records"]:
            try:
                take(record["body"])
            except RetryableError as error:
                logger.warning("the sweep is tried again later", extra={"reason": str(error)})
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    def take(body: str) -> None:
        shard = shard_in(body)
        if shard is None:
            freezes.look_after()
            sweep.request()
            return
        swept = sweep.sweep(shard)
        runtime.count(Metric.EXECUTIONS_SWEPT, swept.running + swept.ended)
        runtime.count(Metric.ORDERS_SENT_AGAIN, swept.orders + swept.deliveries)
        runtime.count(Metric.TIMERS_OVERDUE, swept.timers)
        runtime.count(Metric.SWEEP_LATENESS, swept.lateness)

    return handle


handler = on_lambda(create)
