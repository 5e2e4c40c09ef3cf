"""Gauges that are read of the table, at most once in some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily

from workflow_runtime.errors import RequestError, WorkflowRuntimeError
from workflow_runtime.frontends.metrics.families import LABEL_VALUES_MAX, PREFIX
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.freeze.requests import HELD_SHOWN_MAX, Freezes
from workflow_runtime.services.limits.requests import Limits
from workflow_runtime.storage.limiters import Waiter

READ_SECONDS = 10.0  # how long what is read of the table stands: it takes a few reads for each limiter and freeze
COUNTED_MAX = 1_000  # approvals that are read to be counted


class TableGauges:
    """``services`` gives the runtime's as they are now, ``seconds`` the time."""

    def __init__(self, services: Callable[[], Runtime], seconds: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._seconds = seconds
        self._read: tuple[float, list[GaugeMetricFamily]] | None = None

    def families(self, waiting: Mapping[str, float]) -> list[GaugeMetricFamily]:
        """Limiters, and what waits, by reason; ``waiting``: for reasons that the table does not tell."""
        now = self._seconds()
        if self._read is None or now - self._read[0] > READ_SECONDS:
            services = self._services()
            limiters = _limiter_families(services.limits)
            in_line = sum(sample.value for sample in limiters[0].samples)
            reasons = {
                "limiter": in_line,
                **waiting,
                "person": len(services.stores.approvals.list(is_open=True, limit=COUNTED_MAX)),
                "frozen": sum(len(_held(services.freezes, switch.scope)) for switch in services.freezes.list()),
            }
            text = f"What waits, by reason; of people {COUNTED_MAX:,} at most, of each freeze {HELD_SHOWN_MAX}."
            self._read = now, [*limiters, gauge("waiting", text, "reason").filled(reasons.items())]
        return self._read[1]


class gauge(GaugeMetricFamily):
    """A gauge with one label. ``name`` is without the prefix."""

    def __init__(self, name: str, text: str, label: str) -> None:
        super().__init__(f"{PREFIX}_{name}", text, labels=(label,))

    def filled(self, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
        """With a value for each of the label's."""
        for label, value in values:
            self.add_metric([label], value)
        return self


def _held(freezes: Freezes, scope: str) -> Sequence[Waiter]:
    try:
        return freezes.held(scope)[1]
    except RequestError:  # it was thawed
        return ()


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
        waiting[name] = sum(each["waiting"] for each in gauges)
        held[name] = sum(each["held"] for each in gauges)
        paused[name] = sum(bool(each["paused"]) for each in gauges)
        if limiter.get("concurrency"):
            slots[name] = limiter["concurrency"]
    return [
        gauge("limiter_waiting", "Who waits in its line.", "limiter").filled(waiting.items()),
        gauge("limiter_held", "Slots that are taken.", "limiter").filled(held.items()),
        gauge("limiter_slots", "Slots that there are, for each value of its key.", "limiter").filled(slots.items()),
        gauge("limiter_paused", "Whether it is paused.", "limiter").filled(paused.items()),
    ]
