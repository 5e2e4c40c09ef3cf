"""What the mailbox is told of a run that has succeeded."""

from __future__ import annotations

import msgspec

from workflow_runtime.engine.events import NodeSucceeded, run_event_id
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.storage.records import Run

VALUES_ATTACHED_BYTES_MAX = 4 * 1024  # decision values that travel with the result; larger ones are read


def success_of(plan: Plan, run: Run) -> NodeSucceeded:
    """The event, with what decisions read of its output, if that is short."""
    event_id = run_event_id(run.path, run.serial)
    node = node_of(plan, run.path)
    if node is None or not node.decision_paths:
        return NodeSucceeded(event_id, run.ended_at, run.path, run.serial)
    values = prune(run.output, node.decision_paths)
    size = len(msgspec.json.encode(values))
    small = size <= VALUES_ATTACHED_BYTES_MAX
    return NodeSucceeded(event_id, run.ended_at, run.path, run.serial, values if small else None, small, size)
