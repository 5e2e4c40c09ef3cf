"""`sweep` → what thawed freezes held is sent on; then, for a tick, one look after the executions that are due."""

from __future__ import annotations

import logging
from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import RetryableError
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.freeze.release import RELEASE

logger = logging.getLogger("workflow_runtime.handlers.sweep")


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    def handle(event: LambdaEvent, context: Any) -> dict[str, Any]:  # noqa: ARG001  Lambda passes it
        failed: list[dict[str, str]] = []
        try:
            runtime.releaser.release()
            if all(record["body"] == RELEASE for record in event["Records"]):
                return {"batchItemFailures": []}
            swept = runtime.sweep.sweep()
        except RetryableError as error:
            logger.warning("the sweep is tried again later", extra={"reason": str(error)})
            failed = [{"itemIdentifier": record["messageId"]} for record in event["Records"]]
        else:
            runtime.count(Metric.EXECUTIONS_SWEPT, swept.running + swept.ended)
            runtime.count(Metric.ORDERS_SENT_AGAIN, swept.orders)
            runtime.count(Metric.TIMERS_OVERDUE, swept.timers)
        return {"batchItemFailures": failed}

    return handle


handler = on_lambda(create)
