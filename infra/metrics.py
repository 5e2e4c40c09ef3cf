"""The metrics of a deployment as CloudWatch shows them: the functions' own (`deployment.metrics`), and AWS's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from infra.events import Events
from workflow_runtime.deployment.metrics import NAMESPACE, Metric
from workflow_runtime.deployment.topology import Topology

PERIOD = Duration.minutes(5)
DAY = Duration.days(1)
STATISTICS = (("Average", "mean"), ("p95", "p95"))


@dataclass(frozen=True, slots=True)
class Measured:
    """One runtime's metrics. ``service``: the dimension that tells its counts from another stack's."""

    service: str
    topology: Topology
    table: dynamodb.Table
    queues: Mapping[str, sqs.Queue]
    events: Events
    functions: Mapping[str, lambda_.Function]
    api: apigateway.HttpApi

    def counted(self, metric: Metric) -> cloudwatch.Metric:
        """How often, in sum."""
        return self._own(metric, "Sum", metric)

    def values(self, metric: Metric) -> list[cloudwatch.Metric]:
        """What its values are like: their mean, and what one in twenty exceeds."""
        return [self._own(metric, statistic, f"{metric} {label}") for statistic, label in STATISTICS]

    def latest(self, metric: Metric) -> cloudwatch.Metric:
        """Its largest value."""
        return self._own(metric, "Maximum", metric)

    def batch_size(self) -> cloudwatch.Metric:
        """The dispatcher counts its events once per batch."""
        return self._own(Metric.EVENTS_DISPATCHED, "Average", "mean")

    def _own(self, metric: Metric, statistic: str, label: str) -> cloudwatch.Metric:
        return _metric(NAMESPACE, metric, {"service": self.service}, label, statistic)

    def of_function(self, name: str, metric: str) -> cloudwatch.Metric:
        return _sum("AWS/Lambda", metric, {"FunctionName": self.functions[name].function_name}, name)

    def invocations(self) -> list[cloudwatch.IMetric]:
        return [self.of_function(name, "Invocations") for name in self.functions]

    def queue_age(self, name: str) -> cloudwatch.Metric:
        """Seconds."""
        return self._of_queue(name, "ApproximateAgeOfOldestMessage", "Maximum")

    def sent(self, name: str) -> cloudwatch.Metric:
        return self._of_queue(name, "NumberOfMessagesSent", "Sum")

    def waiting_dead_letters(self) -> list[cloudwatch.Metric]:
        """Messages in the queues that take the dead letters of others."""
        names = [queue.name for queue in self.topology.queues if queue.dead_letters is None]
        return [self._of_queue(name, "ApproximateNumberOfMessagesVisible", "Maximum") for name in names]

    def api_requests(self) -> list[cloudwatch.IMetric]:
        return [self._of_api(name, "Sum") for name in ("Count", "4xx", "5xx")]

    def api_latency(self) -> list[cloudwatch.IMetric]:
        return [self._of_api("Latency", statistic) for statistic in ("p50", "p95", "p99")]

    def rule_invocations(self) -> list[cloudwatch.Metric]:
        return [
            self.of_rule(name, metric) for name in self.events.rules for metric in ("Invocations", "FailedInvocations")
        ]

    def of_rule(self, name: str, metric: str) -> cloudwatch.Metric:
        names = {"EventBusName": self.events.bus.event_bus_name, "RuleName": self.events.rules[name].rule_name}
        return _sum("AWS/Events", metric, names, f"{name} {metric}")

    def table_units(self) -> list[cloudwatch.IMetric]:
        return [self._of_table(name) for name in ("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits")]

    def table_throttles(self) -> cloudwatch.IMetric:
        return cloudwatch.MathExpression(
            expression="FILL(reads, 0) + FILL(writes, 0)",
            label="throttled requests",
            period=PERIOD,
            using_metrics={
                "reads": self._of_table("ReadThrottleEvents"),
                "writes": self._of_table("WriteThrottleEvents"),
            },
        )

    def api_errors(self) -> cloudwatch.Metric:
        return self._of_api("5xx", "Sum")

    def _of_table(self, metric: str) -> cloudwatch.Metric:
        return _sum("AWS/DynamoDB", metric, {"TableName": self.table.table_name}, metric)

    def _of_api(self, metric: str, statistic: str) -> cloudwatch.Metric:
        dimensions = {"ApiId": self.api.api_id}
        label = metric if statistic == "Sum" else statistic
        return _metric("AWS/ApiGateway", metric, dimensions, label, statistic)

    def _of_queue(self, name: str, metric: str, statistic: str) -> cloudwatch.Metric:
        return _metric("AWS/SQS", metric, {"QueueName": self.queues[name].queue_name}, name, statistic)


def _sum(namespace: str, name: str, dimensions: dict[str, str], label: str) -> cloudwatch.Metric:
    return _metric(namespace, name, dimensions, label, "Sum")


def _metric(namespace: str, name: str, dimensions: dict[str, str], label: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        label=label,
        statistic=statistic,
        period=PERIOD,
    )
