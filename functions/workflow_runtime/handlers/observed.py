"""What every handler needs on Lambda: its runtime, made once; structured logs; metrics; an event loop."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import utils
from aws_lambda_powertools.metrics import MetricUnit

from workflow_runtime.deployment.log_fields import LogFields
from workflow_runtime.deployment.metrics import NAMESPACE, Metric
from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent, MadeOnce
from workflow_runtime.runtime.services import Runtime

# Both name the deployment as the service: POWERTOOLS_SERVICE_NAME tells the counts of two stacks apart.
logger = Logger()
logger.registered_handler.addFilter(LogFields())
metrics = Metrics(namespace=NAMESPACE)
warnings.filterwarnings("ignore", "No application metrics to publish")  # some invocations have none


def _count(name: str, value: int) -> None:
    metrics.add_metric(name, MetricUnit(Metric(name).unit), value)


def observed(
    create: Callable[[Runtime, Function], Handler], environment: Mapping[str, str], *, now: bool
) -> Callable[[LambdaEvent, Any], Any]:
    """What Lambda calls for a handler: with the runtime that ``environment`` describes, made ``now`` or for the first
    event; it logs, counts, and waits for the answer.
    """

    def make() -> Handler:
        from workflow_runtime.deployment.settings import deployed_topology
        from workflow_runtime.runtime.aws import aws_runtime

        utils.copy_config_to_registered_loggers(logger, include={"workflow_runtime"})
        function = deployed_topology(environment).function(environment["FUNCTION"])
        return create(aws_runtime(environment, _count), function)

    made = MadeOnce(make, now=now)
    loop = asyncio.new_event_loop()

    @logger.inject_lambda_context
    @metrics.log_metrics(raise_on_empty_metrics=False)
    def handler(event: LambdaEvent, context: Any) -> Any:
        answer = made.for_event()(event, context)
        return loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

    entry: Callable[[LambdaEvent, Any], Any] = handler  # the decorators have no types
    return entry
