"""What operators look at: a dashboard, saved queries of the logs, and alarms that lead to a chapter of the runbook."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack
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
from workflow_runtime.topology import DISPATCH, Topology

NODE_ENDED = 'message = "node ended"'  # one line per node run, by `services.node_runner`
WIDTH = 8  # three widgets in a row of 24
LINES_MAX = 1000

QUERIES: dict[str, tuple[str, ...]] = {
    "one-execution": (
        "fields @timestamp, level, function_name, message, node, status, ms, reason, xray_trace_id",
        "filter execution_id = 'ex-…'",
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
        workers = [functions.log_groups[function.name] for function in topology.functions if function.pool]
        self._save_queries(stack, log_groups)
        self.alarms = [self._alarm(alarm, props) for alarm in alarms(topology, measured)]
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=metrics.DAY)
        dashboard.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", width=24, height=3, alarms=self.alarms))
        dashboard.add_widgets(*_executions(measured))
        dashboard.add_widgets(*_nodes(workers, measured))
        dashboard.add_widgets(*_load(topology, measured))
        dashboard.add_widgets(*_doors(measured))
        dashboard.add_widgets(*_cost(measured))

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
    statuses = [measured.counted(name) for name in metrics.EXECUTIONS]
    return [
        _graph("Executions by status", statuses),
        _graph("Events per batch of the dispatcher", [measured.batch_size()]),
        _graph("Dead letters", [measured.counted("DeadLetters"), *measured.waiting_dead_letters()]),
    ]


def _nodes(workers: list[logs.LogGroup], measured: Measured) -> list[cloudwatch.IWidget]:
    durations = ("stats avg(ms) as mean_ms, pct(ms, 95) as p95_ms by function_name, bin(5m)",)
    errors = ("filter status = 'failed'", "stats count(*) as failed by function_name, bin(5m)")
    found = [measured.counted(name) for name in ("OrdersTaken", "OrdersSentAgain", "TimersOverdue")]
    return [
        _log_graph("Node durations by type, ms", workers, durations),
        _log_graph("Node errors by type", workers, errors),
        _graph("Node runs, and what the sweep had to mend", found),
    ]


def _load(topology: Topology, measured: Measured) -> list[cloudwatch.IWidget]:
    fed = [queue.name for queue in topology.queues if queue.dead_letters is not None]
    names = [function.name for function in topology.functions]
    return [
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


def _cost(measured: Measured) -> list[cloudwatch.IWidget]:
    sent = measured.sent(DISPATCH)
    return [
        _graph("Table: units consumed", measured.table_units()),
        _graph("Messages to the dispatcher", [sent, measured.counted("EventsDispatched")]),
        _graph("Function invocations", measured.invocations()),
    ]


def _graph(title: str, shown: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=WIDTH, left=list(shown), left_y_axis=cloudwatch.YAxisProps(min=0))


def _log_graph(title: str, log_groups: list[logs.LogGroup], lines: tuple[str, ...]) -> cloudwatch.LogQueryWidget:
    return cloudwatch.LogQueryWidget(
        title=title,
        width=WIDTH,
        height=6,
        view=cloudwatch.LogQueryVisualizationType.LINE,
        log_group_names=[log_group.log_group_name for log_group in log_groups],
        query_lines=[f"filter {NODE_ENDED}", *lines],
    )
