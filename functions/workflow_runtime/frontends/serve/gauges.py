"""Gauges: what stands still until somebody looks, read at each scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from workflow_runtime.backends.embedded.queues import QueueDepth
from workflow_runtime.deployment.topology import POOLS, node_queue
from workflow_runtime.errors import RequestError, WorkflowRuntimeError
from workflow_runtime.frontends.serve.metrics import LABEL_VALUES_MAX, PREFIX, Measurements
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.freeze.requests import HELD_SHOWN_MAX, Freezes
from workflow_runtime.services.limits.requests import Limits
from workflow_runtime.storage.freezes import Held

READ_SECONDS = 10.0  # how long what is read of the table stands: it takes a few reads for each limiter and freeze
COUNTED_MAX = 1_000  # approvals that are read to be counted
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
        self._services = services
        self._seconds = seconds
        self._read: tuple[float, list[GaugeMetricFamily]] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _family("open_executions", "Executions that have not ended.", "workflow").filled(
            self._measurements.open_executions().items()
        )
        depths = self._depths()
        yield _family("queue_messages", "Messages of a queue.", "queue").filled(
            (it.queue, it.messages) for it in depths
        )
        yield _family("queue_ready_messages", "Messages that wait for a worker.", "queue").filled(
            (it.queue, it.ready) for it in depths
        )
        yield _family("queue_age_seconds", "How long the oldest message waits.", "queue").filled(
            (it.queue, it.oldest_ms / 1000) for it in depths
        )
        yield from self._of_tables(depths)

    def _of_tables(self, depths: Sequence[QueueDepth]) -> list[GaugeMetricFamily]:
        now = self._seconds()
        if self._read is None or now - self._read[0] > READ_SECONDS:
            services = self._services()
            limiters = _limiter_families(services.limits)
            in_line = sum(sample.value for sample in limiters[0].samples)
            waiting = {
                "limiter": in_line,
                "worker": sum(depth.ready for depth in depths if depth.queue in NODE_QUEUES),
                "person": len(services.stores.approvals.list(is_open=True, limit=COUNTED_MAX)),
                "frozen": sum(len(_held(services.freezes, switch.scope)) for switch in services.freezes.list()),
            }
            text = f"What waits, by reason; of people {COUNTED_MAX:,} at most, of each freeze {HELD_SHOWN_MAX}."
            self._read = now, [*limiters, _family("waiting", text, "reason").filled(waiting.items())]
        return self._read[1]


def _held(freezes: Freezes, scope: str) -> Sequence[Held]:
    try:
        return freezes.held(scope)[1]
    except RequestError:  # it was thawed
        return ()


class _family(GaugeMetricFamily):
    def __init__(self, name: str, text: str, *labels: str) -> None:
        super().__init__(f"{PREFIX}_{name}", text, labels=labels)

    def filled(self, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
        """With a value for each of the one label's."""
        for label, value in values:
            self.add_metric([label], value)
        return self


def _limiter_families(limits: Limits) -> list[GaugeMetricFamily]:
    """Of a keyed limiter, the sum over its keys."""
    names = [str(limiter["name"]) for limiter in limits.list()][:LABEL_VALUES_MAX]
    waiting, held, slots, paused = {}, {}, {}, {}
    for name in names:
        try:
            limiter = limits.get(name)
        except WorkflowRuntimeError:  # it was deleted meanwhile
            continue
        gauges = limiter["gauges"]
        waiting[name] = sum(gauge["waiting"] for gauge in gauges)
        held[name] = sum(gauge["held"] for gauge in gauges)
        paused[name] = sum(bool(gauge["paused"]) for gauge in gauges)
        if limiter.get("concurrency"):
            slots[name] = limiter["concurrency"]
    return [
        _family("limiter_waiting", "Who waits in its line.", "limiter").filled(waiting.items()),
        _family("limiter_held", "Slots that are taken.", "limiter").filled(held.items()),
        _family("limiter_slots", "Slots that there are, for each value of its key.", "limiter").filled(slots.items()),
        _family("limiter_paused", "Whether it is paused.", "limiter").filled(paused.items()),
    ]
