"""Failures that end nothing, for whoever reads the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.plan.plan import Plan

logger = logging.getLogger("workflow_runtime.failures")


def log_failures(plan: Plan, execution_id: str, steps: Sequence[Macrostep]) -> None:
    """What failed in charts: they may go on as if nothing had happened."""
    for step in steps:
        for failure in step.failures:
            fields = {"execution_id": execution_id, "workflow_id": plan.workflow_id, "reason": failure}
            logger.warning("a part of a chart failed", extra=fields)
