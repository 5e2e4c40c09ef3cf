"""What lifecycle events say of an execution to the outside."""

from __future__ import annotations

from workflow_runtime.engine.commands import PublishEvent
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.language.json_values import Json

TIMES = ("at", "started_at", "expires_at")  # in details: epoch ms here, ISO 8601 outside


def lifecycle_detail(event: PublishEvent) -> dict[str, Json]:
    """What a lifecycle event says, apart from whose it is."""
    return {name: iso_time(value) if name in TIMES else value for name, value in event.detail.items()}
