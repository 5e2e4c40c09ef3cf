"""What operators look at: a dashboard, saved queries of the logs, and alarms that lead to a chapter of the runbook."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Annotations, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import metrics
from infra.alarms import Alarm, alarms
from infra.api import Api
from infra.events import Events
from infra.functions import Functions
from infra.messaging import Messaging
from infra.metrics import Measured
from infra.props import RuntimeProps
from infra.storage import Storage
from workflow_runtime.backends.aws.log_search import PLACEHOLDER, SAVED_QUERY
from workflow_runtime.deployment.metrics import DURATIONS, ERRORS, LIFECYCLE, Metric
from workflow_runtime.deployment.topology import Topology

NODE_ENDED = 'message = "node ended"'  # one line per node run, by `services.node_runner`
WIDTH = 8  # three widgets in a row of 24
LINES_MAX = 1000
ABOUT = "node, status, ms, error, reason"

QUERIES: dict[str, tuple[str, ...]] = {
    SAVED_QUERY: (
        f"fields @timestamp, level, function_name, message, {ABOUT}, correlation_id, xray_trace_id",
        f"filter execution_id = '{PLACEHOLDER}'",
        "sort @timestamp",
    ),
    "one-correlation": (
        f"fields @timestamp, level, function_name, message, execution_id, {ABOUT}",
        "filter correlation_id = '…'",
        "sort @timestamp",
    ),
    "node-durations": (
        f"filter {NODE_ENDED}",
        "stats count(*) as runs, avg(ms) as mean_ms, pct(ms, 95) as p95_ms, max(ms) as max_ms by node, status",
        "sort p95_ms desc",
    ),
    "errors": (
        "filter level in ['ERROR', 'CRITICAL'] or @message like /Task timed out|Runtime.ExitError/",
        "fields @timestamp, function_name, message, execution_id, node, reason, exception_name, xray_trace_id",
        "sort @timestamp desc",
    ),
    "dead-letters": (
        "filter message = 'a dead letter'",
        "fields @timestamp, execution_id, kind, message_id, reason",
        "sort @timestamp desc",
    ),
    "cold-starts": (
        "filter @type = 'REPORT' and (ispresent(@initDuration) or @message like /Restore Duration/)",
        "stats count(*) as starts, avg(@initDuration) as mean_ms, max(@initDuration) as max_ms by @log",
    ),
}
"""Log Insights queries by name, over the logs of all functions."""


class Monitoring(Construct):
    """The dashboard, the saved queries and the alarms of one runtime."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        topology: Topology,
        storage: Storage,
        messaging: Messaging,
        events: Events,
        functions: Functions,
        api: Api,
        props: RuntimeProps,
    ) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self).stack_name
        measured = Measured(stack, topology, storage.table, messaging.queues, events, functions.functions, api.api)
        log_groups = [functions.log_groups[function.name] for function in topology.functions]
        self._save_queries(stack, log_groups)
        if props.alarm_topic is None:
            text = "Nobody is told of alarms: give RuntimeProps an alarm_topic"
            Annotations.of(self).add_warning_v2("workflow-runtime:alarmTopic", text)
        self.alarms = [self._alarm(alarm, props) for alarm in alarms(topology, measured)]
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=metrics.DAY)
        dashboard.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", width=24, height=3, alarms=self.alarms))
        dashboard.add_widgets(*_executions(measured))
        dashboard.add_widgets(*_nodes(measured))
        dashboard.add_widgets(*_events(measured))
        dashboard.add_widgets(*_load(topology, measured))
        dashboard.add_widgets(*_doors(measured))
        dashboard.add_widgets(*_cost(topology, measured))

    def _save_queries(self, stack: str, log_groups: list[logs.LogGroup]) -> None:
        names = [log_group.log_group_name for log_group in log_groups]
        for name, lines in QUERIES.items():
            logs.CfnQueryDefinition(
                self,
                f"Query-{name}",
                name=f"{stack}/{name}",
                query_string="\n| ".join((*lines, f"limit {LINES_MAX}")),
                log_group_names=names,
            )

    def _alarm(self, alarm: Alarm, props: RuntimeProps) -> cloudwatch.Alarm:
        made = cloudwatch.Alarm(
            self,
            alarm.id,
            alarm_description=f"{alarm.text} Runbook: infra/README.md#{alarm.chapter}",
            metric=alarm.metric,
            threshold=alarm.threshold,
            comparison_operator=alarm.comparison,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.periods,
            treat_missing_data=alarm.missing,
        )
        if props.alarm_topic is not None:
            action = actions.SnsAction(props.alarm_topic)
            made.add_alarm_action(action)
            made.add_ok_action(action)
        return made


def _executions(measured: Measured) -> list[cloudwatch.IWidget]:
    triggered = Metric.EXECUTIONS_TRIGGERED
    return [
        _graph("Executions by status", _counted(measured, *LIFECYCLE.values(), triggered)),
        _graph("Events per batch of the dispatcher", [measured.batch_size()]),
        _graph("Dead letters", [measured.counted(Metric.DEAD_LETTERS), *measured.waiting_dead_letters()]),
    ]


def _nodes(measured: Measured) -> list[cloudwatch.IWidget]:
    durations = [shown for metric in DURATIONS.values() for shown in measured.values(metric)]
    failed = (*ERRORS.values(), Metric.NODE_RETRIES, Metric.NODES_THROTTLED, Metric.WORKERS_LOST)
    repaired = (Metric.EXECUTIONS_SWEPT, Metric.ORDERS_SENT_AGAIN, Metric.TIMERS_OVERDUE)
    return [
        _graph("Node durations by type, ms", durations),
        _graph("Node errors by type, retries, throttles", _counted(measured, *failed)),
        _graph("What the sweep looked at and had to repair", _counted(measured, *repaired)),
    ]


def _events(measured: Measured) -> list[cloudwatch.IWidget]:
    taken = (Metric.EVENTS_INGESTED, Metric.EVENTS_IGNORED)
    refused = (Metric.EVENTS_REFUSED, Metric.EVENTS_LOOPING, Metric.TRIGGERS_FAILED, Metric.SCHEDULES_SKIPPED)
    return [
        _graph("Events in, and what became of them", _counted(measured, *taken, *refused)),
        _graph("Timers delivered", _counted(measured, Metric.TIMERS_DELIVERED)),
        _graph("Timers: how late, ms", measured.values(Metric.TIMER_LATENESS)),
        _graph("Sweep: how late, ms", measured.values(Metric.SWEEP_LATENESS)),
    ]


def _load(topology: Topology, measured: Measured) -> list[cloudwatch.IWidget]:
    fed = [queue.name for queue in topology.queues if queue.dead_letters is not None]
    names = [function.name for function in topology.functions]
    return [
        _graph("Lines of limiters: wait of the next, ms", [measured.latest(Metric.LINE_AGE)]),
        _graph("Pumps of limiters started again", _counted(measured, Metric.PUMPS_LOST)),
        _graph("Budgets of limiters drawn, %", [measured.latest(Metric.BUDGET_DRAWN)]),
        _graph("Age of the oldest message, s", [measured.queue_age(name) for name in fed]),
        _graph("Function errors", [measured.of_function(name, "Errors") for name in names]),
        _graph("Function throttles", [measured.of_function(name, "Throttles") for name in names]),
    ]


def _doors(measured: Measured) -> list[cloudwatch.IWidget]:
    return [
        _graph("API: requests and errors", measured.api_requests()),
        _graph("API: latency, ms", measured.api_latency()),
        _graph("Events in: matched and failed", measured.rule_invocations()),
    ]


def _cost(topology: Topology, measured: Measured) -> list[cloudwatch.IWidget]:
    sent = [measured.sent(queue.name) for queue in topology.queues]
    handled = (Metric.EVENTS_DISPATCHED, Metric.COMMITS, Metric.ORDERS_TAKEN, Metric.LIMITS_GRANTED)
    return [
        _graph("Cost: table units, commits", [*measured.table_units(), *_counted(measured, *handled)]),
        _graph("Cost: messages sent", sent),
        _graph("Cost: function invocations", measured.invocations()),
    ]


def _counted(measured: Measured, *shown: Metric) -> list[cloudwatch.IMetric]:
    return [measured.counted(metric) for metric in shown]


def _graph(title: str, shown: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=WIDTH, left=list(shown), left_y_axis=cloudwatch.YAxisProps(min=0))
