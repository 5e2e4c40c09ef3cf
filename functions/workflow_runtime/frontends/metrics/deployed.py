"""`/metrics` of a deployment on AWS: the sums that its functions keep in the table, under the names of `awr serve`.

They are approximate (`services.tally`), and they only grow: no process begins them anew. How deep queues are, and how
old what waits in them, CloudWatch knows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from workflow_runtime.deployment.metrics import DURATION_BUCKETS_SECONDS, Bounded
from workflow_runtime.frontends.metrics import families
from workflow_runtime.frontends.metrics.families import LABEL_VALUES_MAX, Family, snake
from workflow_runtime.frontends.metrics.gauges import TableGauges, gauge
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.tally import BETWEEN, DOLLARS, ENDS, STARTED, SUM, Kind

READ_SECONDS = 30.0  # how long sums stand that were read: all of them are read at once

BOUNDS = (*(str(float(bound)) for bound in DURATION_BUCKETS_SECONDS), "+Inf")
Labels = tuple[str, ...]
Sums = Counter[Labels]


class DeployedMetrics(Collector):
    """``seconds``: the time."""

    def __init__(self, runtime: Runtime, seconds: Callable[[], float] = time.monotonic) -> None:
        self._runtime = runtime
        self._seconds = seconds
        self._gauges = TableGauges(lambda: runtime, seconds)
        self._read: tuple[float, list[Metric]] | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Everything, in the format that the header ``Accept`` asks for (OpenMetrics, or Prometheus' older one), and
        the type of that. Raises `RetryableError`."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is stands in the table."""
        return ()

    def collect(self) -> Iterator[Metric]:
        now = self._seconds()
        if self._read is None or now - self._read[0] > READ_SECONDS:
            self._read = now, list(_families(self._runtime.counters.read()))
        yield from self._read[1]
        yield from self._gauges.families({})


def _families(counts: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    sums = _sums(counts)
    yield _counter(families.EXECUTIONS, sums[Kind.EXECUTIONS])
    yield _histogram(families.EXECUTION_SECONDS, sums[Kind.EXECUTION_DURATION])
    yield _counter(families.RUNS, sums[Kind.NODE_RUNS])
    yield _histogram(families.RUN_SECONDS, sums[Kind.NODE_RUN_DURATION])
    yield _counter(families.ERRORS, sums[Kind.NODE_ERRORS])
    tokens = {
        (*labels, direction): value
        for direction, kind in (("input", Kind.INPUT_TOKENS), ("output", Kind.OUTPUT_TOKENS))
        for labels, value in sums[kind].items()
    }
    yield _counter(families.TOKENS, tokens)
    yield _counter(families.REQUESTS, sums[Kind.REQUESTS])
    dollars = {labels: value / DOLLARS for labels, value in sums[Kind.MICRO_DOLLARS].items()}
    yield _counter(families.DOLLARS, dollars)
    yield _counter(families.EVENTS, sums[Kind.EVENTS])
    yield _histogram(families.LATENESS, sums[Kind.LATENESS])
    family = families.OPEN_EXECUTIONS
    yield gauge(family.name, family.text, *family.labels).filled(_open(sums[Kind.EXECUTIONS]).items())
    yield InfoMetricFamily(families.BUILD.full_name, families.BUILD.text, value=_build())


def _sums(counts: Mapping[str, Mapping[str, int]]) -> dict[Kind, Sums]:
    """By kind and labels, with as many values of a label as are told apart: the first of them by name."""
    workflow_of, agent, model, error = (Bounded(LABEL_VALUES_MAX) for _ in range(4))
    found: dict[Kind, Sums] = {kind: Counter() for kind in Kind}
    for workflow in sorted(counts):
        for series, value in sorted(counts[workflow].items()):
            kind, *parts = series.split(BETWEEN)
            match kind, parts:
                case Kind.EXECUTIONS, [status]:
                    labels: Labels = (workflow_of(workflow), status)
                case Kind.EXECUTION_DURATION, [status, place]:
                    labels = (workflow_of(workflow), status, place)
                case Kind.NODE_RUNS, [node_type, status]:
                    labels = (workflow_of(workflow), node_type, status)
                case Kind.NODE_RUN_DURATION, [_, _, _]:
                    labels = tuple(parts)
                case Kind.NODE_ERRORS, [node_type, name]:
                    labels = (node_type, error(name))
                case (
                    (Kind.REQUESTS | Kind.INPUT_TOKENS | Kind.OUTPUT_TOKENS | Kind.MICRO_DOLLARS),
                    [name, of_model],
                ):
                    labels = (agent(name), model(of_model))
                case Kind.EVENTS, [name]:
                    labels = (snake(name),)
                case Kind.LATENESS, [name, place]:
                    labels = (snake(name), place)
                case _:  # of a newer version of the runtime
                    continue
            found[Kind(kind)][labels] += value
    return found


def _open(executions: Sums) -> dict[str, int]:
    """Those that began and have not ended, as far as both were counted."""
    found: Counter[str] = Counter()
    for (workflow, status), value in executions.items():
        if status == STARTED or status in ENDS:
            found[workflow] += value if status == STARTED else -value
    return {workflow: max(value, 0) for workflow, value in found.items()}


def _counter(family: Family, sums: Mapping[Labels, float]) -> Metric:
    metric = CounterMetricFamily(family.full_name, family.text, labels=family.labels)
    for labels, value in sums.items():
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, sums: Mapping[Labels, int]) -> Metric:
    """``sums``: by labels and either the number of a bucket or `SUM`, in milliseconds."""
    metric = HistogramMetricFamily(family.full_name, family.text, labels=family.labels)
    for labels in dict.fromkeys(labels[:-1] for labels in sums):
        total = 0
        buckets: list[tuple[str, float]] = []
        for number, bound in enumerate(BOUNDS):
            total += sums.get((*labels, str(number)), 0)
            buckets.append((bound, total))
        metric.add_metric(labels, buckets, sums.get((*labels, SUM), 0) / 1000)
    return metric


def _build() -> dict[str, str]:
    try:
        number = version(families.DISTRIBUTION)
    except PackageNotFoundError:  # the code of a function is not an installed package
        number = ""
    return {"version": number, "python": python_version()}
