"""What is measured of an attempt of an agent or a tool, once it has ended."""

from __future__ import annotations

from collections.abc import Callable

from workflow_runtime.deployment.metrics import DURATIONS, ERRORS, Metric
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.storage.records import Run, RunStatus

RATE_LIMITED = "rate_limited"  # the error of an attempt that a provider or service had no room for


def count_attempt(count: Callable[[str, int], None], type: NodeType, ended: Run) -> None:
    """Attempts of other nodes are decided rather than run, and cancelled ones never ran: neither is measured."""
    if type not in DURATIONS or ended.status is RunStatus.CANCELLED:
        return
    count(DURATIONS[type], ended.ended_at - ended.started_at)
    if ended.attempt > 1:
        count(Metric.NODE_RETRIES, 1)
    if ended.error is not None:
        count(ERRORS[type], 1)
        if ended.error.type == RATE_LIMITED:
            count(Metric.NODES_THROTTLED, 1)
