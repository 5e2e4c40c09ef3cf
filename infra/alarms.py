"""The alarms, as data: what is watched, from when on it is bad, and the runbook's chapter about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from infra.metrics import Measured
from infra.names import construct_id
from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import DISPATCH, EVENTS, SWEEP, TIMERS, Topology

# From when on a queue's oldest message is too old, in seconds.
AGE_SECONDS_MAX = {
    DISPATCH: 120,  # events wait for a dispatcher for less than a second
    EVENTS: 300,
    TIMERS: 1800,  # delayed for up to 900 s by design
    SWEEP: 300,
}
POOL_AGE_SECONDS_MAX = 3600  # a node may run for 900 s, and all that time its order is in the queue
SWEEP_LATENESS_MS_MAX = 180_000  # a tick is a minute, and what is lost is to be found within five
LINE_AGE_MS_MAX = 3_600_000  # a node that waits longer for a limiter had better say so by `max_wait`
BUDGET_DRAWN_PERCENT_MAX = 80  # there is time to raise it, or to find out who spends it
API_ERRORS_MAX = 5  # in 5 minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Raised when ``metric`` compares with ``threshold`` for ``periods`` of 5 minutes; ``chapter`` is the runbook's."""

    id: str
    text: str
    chapter: str
    metric: cloudwatch.IMetric
    threshold: float = 1
    periods: int = 1
    comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
    missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING


def alarms(topology: Topology, measured: Measured) -> Iterator[Alarm]:
    """All alarms of a runtime."""
    yield Alarm(
        id="DeadLetters",
        text="Something could not be processed and was recorded as a dead letter.",
        chapter="dead-letters",
        metric=measured.counted(Metric.DEAD_LETTERS),
    )
    yield Alarm(
        id="SweepLate",
        text="Executions are looked after later than they should be: what got lost stays lost for longer.",
        chapter="sweep-late",
        metric=measured.latest(Metric.SWEEP_LATENESS),
        threshold=SWEEP_LATENESS_MS_MAX,
        periods=2,
    )
    yield from _limits(measured)
    yield from _queues(topology, measured)
    yield from _functions(topology, measured)
    yield Alarm(
        id="ApiErrors",
        text="The API answered requests with 5xx.",
        chapter="api-errors",
        metric=measured.api_errors(),
        threshold=API_ERRORS_MAX,
    )
    for rule in topology.rules:
        yield Alarm(
            id=f"RuleFailed{construct_id(rule.name)}",
            text=f"Events that matched the rule {rule.name} could not be passed to the queue {rule.queue}.",
            chapter="rule-failed",
            metric=measured.of_rule(rule.name, "FailedInvocations"),
        )
    yield Alarm(
        id="TableThrottled",
        text="The table refused requests for a while.",
        chapter="table-throttled",
        metric=measured.table_throttles(),
        periods=3,
    )


def _limits(measured: Measured) -> Iterator[Alarm]:
    yield Alarm(
        id="LineAge",
        text="Something has waited for a limiter for more than an hour.",
        chapter="line-age",
        metric=measured.latest(Metric.LINE_AGE),
        threshold=LINE_AGE_MS_MAX,
    )
    yield Alarm(
        id="PumpLost",
        text="The pump of a limiter was lost, and its line stood still until the sweep came.",
        chapter="pump-lost",
        metric=measured.counted(Metric.PUMPS_LOST),
    )
    yield Alarm(
        id="BudgetDrawn",
        text="The budget of a limiter is nearly used up.",
        chapter="budget-drawn",
        metric=measured.latest(Metric.BUDGET_DRAWN),
        threshold=BUDGET_DRAWN_PERCENT_MAX,
    )


def _queues(topology: Topology, measured: Measured) -> Iterator[Alarm]:
    for queue in topology.queues:
        name = construct_id(queue.name)
        if queue.dead_letters is None:
            yield Alarm(
                id=f"Waiting{name}",
                text=f"Dead letters stay in the queue {queue.name}: the function dead_letter does not record them.",
                chapter="dead-letters-waiting",
                metric=measured.queue_age(queue.name),
                threshold=900,
            )
            continue
        yield Alarm(
            id=f"QueueAge{name}",
            text=f"Messages wait in the queue {queue.name} for too long.",
            chapter="queue-age",
            metric=measured.queue_age(queue.name),
            threshold=AGE_SECONDS_MAX.get(queue.name, POOL_AGE_SECONDS_MAX),
            periods=2,
        )


def _functions(topology: Topology, measured: Measured) -> Iterator[Alarm]:
    for function in topology.functions:
        name = construct_id(function.name)
        yield Alarm(
            id=f"Throttled{name}",
            text=f"The function {function.name} was throttled: its concurrency, or the account's, is used up.",
            chapter="throttled",
            metric=measured.of_function(function.name, "Throttles"),
            periods=3,
        )
        if function.pool is None:  # a worker whose tool hangs ends itself, and its order becomes another attempt
            yield Alarm(
                id=f"Errors{name}",
                text=f"The function {function.name} crashed or ran out of time.",
                chapter="function-errors",
                metric=measured.of_function(function.name, "Errors"),
            )
    for tick in topology.ticks:
        (fed,) = (each for each in topology.functions for source in each.sources if source.queue == tick.queue)
        yield Alarm(
            id=f"Stopped{construct_id(tick.name)}",
            text=f"The function {fed.name} has not run for 15 minutes, though it should every {tick.minutes}.",
            chapter="sweep-stopped",
            metric=measured.of_function(fed.name, "Invocations"),
            periods=3,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
