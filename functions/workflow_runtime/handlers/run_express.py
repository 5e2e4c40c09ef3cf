"""`node-express`, or the API → express executions: each runs to its end."""

from __future__ import annotations

import logging
from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.express import ExpressRunner
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.express import ORDER, parse_express

logger = logging.getLogger(__name__)


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    runner = ExpressRunner(runtime)
    runner.prepare()

    async def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        if ORDER in event:
            await run(event[ORDER])
            return None
        [record] = event["Records"]
        try:
            await run(record["body"])
        except InvalidEvent as error:
            runtime.dead_letters.record(str(record["messageId"]), str(record["body"]), str(error))
            runtime.count(Metric.DEAD_LETTERS, 1)
        except Exception as error:  # whatever it is, the message comes again
            logger.warning("an express execution is tried again", extra={"reason": str(error)}, exc_info=True)
            return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
        return {"batchItemFailures": []}

    async def run(body: str) -> None:
        await runner.run(parse_express(body))
        await runtime.ports.offload(runtime.write_counts)
        runtime.end_process_if_stuck()

    return handle


handler = on_lambda(create)
