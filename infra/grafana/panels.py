"""What the dashboards show and what alarms, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workflow_runtime.deployment.metrics import COUNT, MILLISECONDS, PERCENT, Metric

RATE = "[$__rate_interval]"  # Grafana's own: fits the time range and how often is scraped


@dataclass(frozen=True, slots=True)
class Query:
    """``text``: PromQL; ``legend``: with labels in ``{{…}}``."""

    text: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time. ``unit``: as Grafana names it."""

    title: str
    unit: str
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Statistic:
    """A metric of CloudWatch, over the deployment that the dashboard is set to."""

    metric: Metric
    statistic: str


@dataclass(frozen=True, slots=True)
class CloudWatchPanel:
    title: str
    unit: str
    statistics: tuple[Statistic, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """``minutes``: how long ``text`` must hold. ``summary``: what is wrong; ``action``: what to do about it."""

    name: str
    text: str
    minutes: int
    severity: str
    summary: str
    action: str


def quantile(quantile: float, name: str, by: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate(awr_{name}_seconds_bucket{RATE})))"


def rate(name: str, *by: str, where: str = "") -> str:
    return f"sum by ({', '.join(by)}) (rate(awr_{name}_total{where}{RATE}))"


PROMETHEUS = (
    Panel("Executions", "ops", (Query(rate("executions", "status"), "{{status}}"),)),
    Panel("Executions that failed, by workflow", "ops",
          (Query(rate("executions", "workflow", where='{status="failed"}'), "{{workflow}}"),)),
    Panel("Open executions", "short", (Query("sum by (workflow) (awr_open_executions)", "{{workflow}}"),)),
    Panel("Duration of executions, p95", "s",
          (Query(quantile(0.95, "execution_duration", "workflow"), "{{workflow}}"),)),
    Panel("Attempts of nodes", "ops", (Query(rate("node_runs", "type", "status"), "{{type}} {{status}}"),)),
    Panel("Duration of attempts", "s", (
        Query(quantile(0.5, "node_run_duration", "type"), "{{type}} p50"),
        Query(quantile(0.95, "node_run_duration", "type"), "{{type}} p95"),
    )),
    Panel("Errors of attempts", "ops", (Query(rate("node_errors", "type", "error"), "{{type}} {{error}}"),)),
    Panel("Tokens", "short", (Query(rate("model_tokens", "model", "direction"), "{{model}} {{direction}}"),)),
    Panel("Price of models, per hour", "currencyUSD",
          (Query(f"sum by (agent) (rate(awr_model_cost_usd_total{RATE})) * 3600", "{{agent}}"),)),
    Panel("Requests of models", "ops", (Query(rate("model_requests", "agent", "model"), "{{agent}} {{model}}"),)),
    Panel("Messages that wait for a worker", "short",
          (Query("sum by (queue) (awr_queue_ready_messages)", "{{queue}}"),)),
    Panel("Age of the oldest message", "s", (Query("max by (queue) (awr_queue_age_seconds)", "{{queue}}"),)),
    Panel("Lines of limiters", "short", (Query("sum by (limiter) (awr_limiter_waiting)", "{{limiter}}"),)),
    Panel("Slots of limiters", "short", (
        Query("sum by (limiter) (awr_limiter_held)", "{{limiter}} taken"),
        Query("sum by (limiter) (awr_limiter_slots)", "{{limiter}} of"),
    )),
    Panel("Budgets of limiters that are drawn", "percent", (Query("max by (what) (awr_percent)", "{{what}}"),)),
    Panel("What the runtime counts", "ops", (Query(rate("events", "event"), "{{event}}"),)),
    Panel("Lateness of timers and the sweep, p95", "s", (Query(quantile(0.95, "lateness", "what"), "{{what}}"),)),
)  # fmt: skip


def cloudwatch_panels() -> Iterator[CloudWatchPanel]:
    """Each count in sum; of each duration the mean and what one in twenty exceeds; of each part in use the largest."""
    counts = [metric for metric in Metric if metric.unit == COUNT]
    for metric in counts:
        yield CloudWatchPanel(_words(metric), "short", (Statistic(metric, "Sum"),))
    for metric in (metric for metric in Metric if metric.unit == MILLISECONDS):
        yield CloudWatchPanel(_words(metric), "ms", (Statistic(metric, "Average"), Statistic(metric, "p95")))
    for metric in (metric for metric in Metric if metric.unit == PERCENT):
        yield CloudWatchPanel(_words(metric), "percent", (Statistic(metric, "Maximum"),))


def _words(metric: Metric) -> str:
    """``DeadLetters`` as "Dead letters"."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in metric.value).strip()
    return words[0].upper() + words[1:]


ALERTS = (
    Alert("ServerDown", 'up{job="awr"} == 0', 2, "page", "awr serve does not answer.",
          "Look at its supervisor and its log; it continues with every execution when it starts again."),
    Alert("DeadLetters", "increase(awr_events_total{event=\"dead_letters\"}[15m]) > 0", 0, "page",
          "A message could not be processed and was recorded as a dead letter.",
          "The log says which execution and why."),
    Alert("ExecutionsFail",
          'sum by (workflow) (rate(awr_executions_total{status="failed"}[15m])) > 0.1 * '
          'sum by (workflow) (rate(awr_executions_total{status=~"completed|failed"}[15m]))',
          10, "ticket", "More than one in ten executions of {{ $labels.workflow }} fails.",
          "awr list --workflow and awr history say where; awr retry continues them when the reason is gone."),
    Alert("WorkWaits", "max by (queue) (awr_queue_age_seconds) > 120", 10, "ticket",
          "Messages in {{ $labels.queue }} have been waiting for two minutes.",
          "The machine has too much to do, or tools block it."),
    Alert("WorkersLost", "increase(awr_events_total{event=\"workers_lost\"}[15m]) > 3", 0, "ticket",
          "Attempts end without a result.", "A tool ends its process, or the machine has too little memory."),
    Alert("ModelsThrottled", 'sum(rate(awr_node_errors_total{error="rate_limited"}[10m])) > 0.2', 10, "ticket",
          "Providers answer with 429.", "A limiter (definitions/limits.yaml) makes runs wait instead of failing."),
    Alert("BudgetDrawn", 'awr_percent{what="budget_drawn"} >= 80', 0, "ticket",
          "The budget of a limiter is nearly used up.",
          "awr limits show says of which; awr limits set NAME --usd 50/day raises it."),
    Alert("LineGrows", "min_over_time(awr_limiter_waiting[30m]) > 50", 0, "ticket",
          "More than 50 wait for the limiter {{ $labels.limiter }} for half an hour.",
          "awr limits show says who waits; raise it, or start less."),
)  # fmt: skip
