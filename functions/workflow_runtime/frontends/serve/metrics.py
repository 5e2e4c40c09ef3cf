"""``GET /metrics``: what happens on this server, in the OpenMetrics format that Prometheus scrapes.

Counters and histograms count what this process has seen; gauges are read when somebody asks. What is done twice after a
fault counts twice.
"""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Callable, Mapping
from importlib.metadata import version
from platform import python_version
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder

from workflow_runtime.deployment.metrics import (
    BY_FORMULA,
    DURATION_BUCKETS_SECONDS,
    DURATIONS,
    MILLISECONDS,
    PERCENT,
    RATE_LIMITED,
    AttemptEnded,
    Bounded,
    Metric,
)
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.metrics import families
from workflow_runtime.frontends.metrics.families import DISTRIBUTION, LABEL_VALUES_MAX, PREFIX, Family, snake
from workflow_runtime.runtime.observation import Silence
from workflow_runtime.storage import keys
from workflow_runtime.storage.records import Header


class _Open(msgspec.Struct, frozen=True):
    workflow: str
    started_at: int  # epoch ms


class Measurements(Silence):
    """An observer that counts. ``workflow_of``: of an execution that this process did not see begin, "" if there is
    none.
    """

    def __init__(self, workflow_of: Callable[[str], str] = lambda _id: "") -> None:
        self.workflow_of = workflow_of
        self.registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._workflow, self._agent, self._model, self._error = (Bounded(LABEL_VALUES_MAX) for _ in range(4))
        self._executions = self._counter(families.EXECUTIONS)
        self._execution_seconds = self._histogram(families.EXECUTION_SECONDS)
        self._runs = self._counter(families.RUNS)
        self._run_seconds = self._histogram(families.RUN_SECONDS)
        self._errors = self._counter(families.ERRORS)
        self._tokens = self._counter(families.TOKENS)
        self._requests = self._counter(families.REQUESTS)
        self._dollars = self._counter(families.DOLLARS)
        self._happenings = self._counter(families.EVENTS)
        self._lateness = self._histogram(families.LATENESS)
        self._percents = Gauge(f"{PREFIX}_percent", "Parts in use, as last seen.", ("what",), registry=self.registry)
        build = Info(families.BUILD.full_name, families.BUILD.text, registry=self.registry)
        build.info({"version": version(DISTRIBUTION), "python": python_version()})

        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """What is not there cannot grow: an increase from nothing to one would be none."""
        for metric in Metric:
            if metric.unit == MILLISECONDS:
                self._lateness.labels(snake(metric))
            elif metric.unit == PERCENT:
                self._percents.labels(snake(metric))
            else:
                self._happenings.labels(snake(metric))
        for node_type in DURATIONS:
            self._errors.labels(node_type, self._error(RATE_LIMITED))

    def _counter(self, family: Family) -> Counter:
        return Counter(family.full_name, family.text, family.labels, registry=self.registry)

    def _histogram(self, family: Family) -> Histogram:
        buckets = DURATION_BUCKETS_SECONDS
        return Histogram(family.full_name, family.text, family.labels, registry=self.registry, buckets=buckets)

    def open_executions(self) -> dict[str, int]:
        """How many executions have not ended, by workflow."""
        with self._lock:
            return Count(known.workflow for known in self._open.values())

    def saw_open(self, header: Header) -> None:
        """Of an execution that an earlier process began."""
        with self._lock:
            self._open[header.execution_id] = _Open(self._workflow(header.workflow_id), header.started_at)

    # What an observer is told.

    def wrote(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        if sort != keys.HEADER:
            return
        if "workflow" in attributes:
            workflow = self._workflow(str(attributes["workflow"]))
            with self._lock:
                self._open[execution_id] = _Open(workflow, int(attributes.get("started_at") or 0))
            self._executions.labels(workflow, "started").inc()
        status = attributes.get("status")
        if isinstance(status, str) and ExecutionStatus(status).terminal:
            self._ended(execution_id, status, int(attributes.get("ended_at") or 0))

    def _ended(self, execution_id: str, status: str, at: int) -> None:
        with self._lock:
            known = self._open.pop(execution_id, None)
        workflow = known.workflow if known is not None else self._workflow(self.workflow_of(execution_id))
        self._executions.labels(workflow, status).inc()
        if known is not None and known.started_at:
            self._execution_seconds.labels(workflow, status).observe(max(0, at - known.started_at) / 1000)

    def attempt_ended(self, ended: AttemptEnded) -> None:
        if ended.usage:
            self._used(self._agent(ended.target or BY_FORMULA), ended.usage)
        if ended.goes_on:
            return
        status = "success" if ended.error is None else "failed"
        self._runs.labels(self._workflow(ended.workflow_id), ended.node_type, status).inc()
        self._run_seconds.labels(ended.node_type, status).observe(ended.milliseconds / 1000)
        if ended.error is not None:
            self._errors.labels(ended.node_type, self._error(ended.error)).inc()

    def _used(self, agent: str, usage: Mapping[str, Any]) -> None:
        model = self._model(str(usage.get("model") or ""))
        self._requests.labels(agent, model).inc(_number(usage, "requests"))
        self._tokens.labels(agent, model, "input").inc(_number(usage, "input_tokens"))
        self._tokens.labels(agent, model, "output").inc(_number(usage, "output_tokens"))
        if "usd" in usage:
            self._dollars.labels(agent, model).inc(_number(usage, "usd"))

    def counted(self, name: str, value: int) -> None:
        if Metric(name).unit == MILLISECONDS:
            self._lateness.labels(snake(name)).observe(value / 1000)
        elif Metric(name).unit == PERCENT:
            self._percents.labels(snake(name)).set(value)
        else:
            self._happenings.labels(snake(name)).inc(value)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Everything, in the format that the header ``Accept`` asks for (OpenMetrics, or Prometheus' older one), and
        the type of that.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def _number(usage: Mapping[str, Any], name: str) -> float:
    return max(0.0, float(usage.get(name) or 0))
