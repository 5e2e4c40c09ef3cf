"""`node-express`, or the API → express executions: each runs to its end."""

from __future__ import annotations

from typing import Any

from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.handlers.entry import Handler, LambdaEvent, on_lambda
from workflow_runtime.runtime.express import ExpressRunner
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.express import ORDER, ExpressOrder, parse_express


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    runner = ExpressRunner(runtime)

    async def handle(event: LambdaEvent, context: Any) -> Any:  # noqa: ARG001  Lambda passes it
        if ORDER in event:
            await run(parse_express(event[ORDER]))
            return None
        [record] = event["Records"]  # one by one, so that what is raised has this one delivered again
        try:
            order = parse_express(record["body"])
        except InvalidEvent as error:
            runtime.dead_letters.record(str(record["messageId"]), str(record["body"]), str(error))
        else:
            await run(order)
        return {"batchItemFailures": []}

    async def run(order: ExpressOrder) -> None:
        await runner.run(order)
        runtime.end_process_if_stuck()

    return handle


handler = on_lambda(create)
