"""Gauges: what stands still until somebody looks, read at each scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from workflow_runtime.backends.embedded.queues import QueueDepth
from workflow_runtime.deployment.topology import POOLS, node_queue
from workflow_runtime.frontends.metrics.families import OPEN_EXECUTIONS
from workflow_runtime.frontends.metrics.gauges import TableGauges, gauge
from workflow_runtime.frontends.serve.metrics import Measurements
from workflow_runtime.runtime.services import Runtime

NODE_QUEUES = frozenset(map(node_queue, POOLS))


class Gauges(Collector):
    """``depths`` reads the queues, ``services`` gives the runtime's as they are now, ``seconds`` the time."""

    def __init__(
        self,
        measurements: Measurements,
        depths: Callable[[], Sequence[QueueDepth]],
        services: Callable[[], Runtime],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._measurements = measurements
        self._depths = depths
        self._of_table = TableGauges(services, seconds)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield gauge(OPEN_EXECUTIONS.name, OPEN_EXECUTIONS.text, *OPEN_EXECUTIONS.labels).filled(
            self._measurements.open_executions().items()
        )
        depths = self._depths()
        yield gauge("queue_messages", "Messages of a queue.", "queue").filled((it.queue, it.messages) for it in depths)
        yield gauge("queue_ready_messages", "Messages that wait for a worker.", "queue").filled(
            (it.queue, it.ready) for it in depths
        )
        yield gauge("queue_age_seconds", "How long the oldest message waits.", "queue").filled(
            (it.queue, it.oldest_ms / 1000) for it in depths
        )
        ready = sum(depth.ready for depth in depths if depth.queue in NODE_QUEUES)
        yield from self._of_table.families({"worker": ready})
