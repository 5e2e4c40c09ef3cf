"""What the functions count and measure, by name: each is emitted by the code and shown on the dashboard, or neither.

One metric line per invocation carries them all (CloudWatch's embedded metric format). There is one dimension, the
deployment: a metric per workflow or node would cost as much each as a metric of the whole deployment, so questions
about one of them are asked of the logs. What AWS counts itself (messages sent, invocations, throttles, requests, table
units) is not counted here again. Imports nothing of the project: code and deployment both read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NAMESPACE = "WorkflowRuntime"
MILLISECONDS = "Milliseconds"
COUNT = "Count"
PERCENT = "Percent"
RATE_LIMITED = "rate_limited"  # the error of an attempt that a provider or service had no room for
BY_FORMULA = "(by formula)"  # an agent or tool that the plan does not name
OTHER = "(other)"  # what is not told apart any more


class Metric(StrEnum):
    """Sums count; of durations, the number of samples says how often. What is done twice after a fault counts twice."""

    # Executions, by what becomes of them.
    EXECUTIONS_STARTED = "ExecutionsStarted"
    EXECUTIONS_COMPLETED = "ExecutionsCompleted"
    EXECUTIONS_FAILED = "ExecutionsFailed"
    EXECUTIONS_CANCELLED = "ExecutionsCancelled"
    EXECUTIONS_COMPENSATING = "ExecutionsCompensating"  # began to undo what they had done; each fails or is cancelled
    EXECUTIONS_REOPENED = "ExecutionsReopened"
    EXECUTIONS_TRIGGERED = "ExecutionsTriggered"  # of those started: by events and schedules

    # The dispatcher. One value per batch, so the average of the first is the batch's size.
    EVENTS_DISPATCHED = "EventsDispatched"
    COMMITS = "Commits"  # each writes the state once: what an execution costs is mostly this

    # Attempts of nodes.
    LIMITS_GRANTED = "LimitsGranted"  # node runs and executions that began after waiting for a limiter
    LINE_AGE = "LineAge"  # how long the next in the line of a limiter has waited
    PUMPS_LOST = "PumpsLost"  # pumps of limiters that the sweep had to start again
    BUDGET_DRAWN = "BudgetDrawn"  # of a limiter's budget, whenever some is drawn
    ORDERS_TAKEN = "OrdersTaken"  # messages of worker queues, those of attempts and those that only wait
    AGENT_DURATION = "AgentDuration"
    TOOL_DURATION = "ToolDuration"
    AGENT_ERRORS = "AgentErrors"
    TOOL_ERRORS = "ToolErrors"
    NODE_RETRIES = "NodeRetries"  # attempts after a first one
    NODES_THROTTLED = "NodesThrottled"  # attempts that failed with `rate_limited`
    WORKERS_LOST = "WorkersLost"  # attempts whose worker fell silent

    # Events in.
    EVENTS_INGESTED = "EventsIngested"
    EVENTS_IGNORED = "EventsIgnored"  # nobody waited for them, and no trigger asks for them
    EVENTS_LOOPING = "EventsLooping"
    EVENTS_REFUSED = "EventsRefused"
    TRIGGERS_FAILED = "TriggersFailed"
    SCHEDULES_SKIPPED = "SchedulesSkipped"

    # Timers.
    TIMERS_DELIVERED = "TimersDelivered"
    TIMER_LATENESS = "TimerLateness"  # from when it was due to when its execution was told

    # What went wrong, and what the sweep repaired.
    DEAD_LETTERS = "DeadLetters"
    EXECUTIONS_SWEPT = "ExecutionsSwept"
    ORDERS_SENT_AGAIN = "OrdersSentAgain"
    TIMERS_OVERDUE = "TimersOverdue"
    SWEEP_LATENESS = "SweepLateness"  # from when an execution was to be looked after to when the sweep came to it

    @property
    def unit(self) -> str:
        """As CloudWatch names it."""
        if self is Metric.BUDGET_DRAWN:
            return PERCENT
        return MILLISECONDS if self in _TIMES else COUNT


_TIMES = (Metric.AGENT_DURATION, Metric.TOOL_DURATION, Metric.LINE_AGE, Metric.TIMER_LATENESS, Metric.SWEEP_LATENESS)

DURATION_BUCKETS_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)
"""Of histograms: a node without a model takes milliseconds, an execution that waits for people takes days."""

DURATIONS = {"agent": Metric.AGENT_DURATION, "tool": Metric.TOOL_DURATION}
"""By a node's type; other types are decided, not run."""
ERRORS = {"agent": Metric.AGENT_ERRORS, "tool": Metric.TOOL_ERRORS}
LIFECYCLE = {
    "execution.started": Metric.EXECUTIONS_STARTED,
    "execution.completed": Metric.EXECUTIONS_COMPLETED,
    "execution.failed": Metric.EXECUTIONS_FAILED,
    "execution.cancelled": Metric.EXECUTIONS_CANCELLED,
    "execution.compensating": Metric.EXECUTIONS_COMPENSATING,
    "execution.reopened": Metric.EXECUTIONS_REOPENED,
}
"""By the lifecycle event that tells of it."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt of a node that has ended and was not cancelled, or a run of one that goes on in another run.

    ``workflow_id``: of its execution.
    ``node_type``: agents and tools; other nodes are decided rather than run.
    ``target``: the agent or tool.
    ``attempt``: from 1.
    ``milliseconds``: from its claim to its end; of an agent that went on, of its last run.
    ``error``: the type of its error; None: it succeeded.
    ``usage``: what models used in this run, as `invokers.invocation.Meter.usage`; None: nothing.
    ``goes_on``: it has not ended: all that counts is what it has used.
    """

    workflow_id: str
    node_type: str
    target: str
    attempt: int
    milliseconds: int
    error: str | None = None
    usage: Mapping[str, Any] | None = None
    goes_on: bool = False


class Bounded:
    """What is told apart by, as it is, until there are ``values_max``; then `OTHER`."""

    def __init__(self, values_max: int) -> None:
        self._values_max = values_max
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= self._values_max:
                return OTHER
            self._known.add(value)
        return value


def count_attempt(count: Callable[[str, int], None], ended: AttemptEnded) -> None:
    """Measure an attempt that ended. Only agents and tools are measured."""
    if ended.node_type not in DURATIONS or ended.goes_on:
        return
    count(DURATIONS[ended.node_type], ended.milliseconds)
    if ended.attempt > 1:
        count(Metric.NODE_RETRIES, 1)
    if ended.error is not None:
        count(ERRORS[ended.node_type], 1)
        if ended.error == RATE_LIMITED:
            count(Metric.NODES_THROTTLED, 1)
