"""In the worker: what the engine is told of how a run ended."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import Event, NodeFailed, NodeSucceeded, NodeYielded, run_event_id
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, ToolSpec
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.deciding import node_of
from workflow_runtime.storage.records import Run

VALUES_ATTACHED_BYTES_MAX = 4 * 1024  # decision values that travel with the result; larger ones are read


def after_loss(command: RunNode) -> RunNode:
    """An order whose attempt was lost with its worker, as it may be ordered again. Whose code ended the process is not
    known, so each attempt that was in it goes on alone: the guilty one takes no others with it again.
    """
    return replace(command, alone=True)


def result_event(order: Order, plan: Plan, run: Run) -> Event:
    event_id = run_event_id(run.path, run.serial)
    if run.yielded is not None:
        yielded = run.yielded
        return NodeYielded(
            event_id,
            run.ended_at,
            run.path,
            run.serial,
            yielded.task,
            yielded.timeout,
            yielded.heartbeat,
            run.attempt,
            run.started_at,
            yielded.waits,
            yielded.steps,
        )
    if run.error is not None:
        command = after_loss(order.command) if run.error.type == "worker_lost" else order.command
        return NodeFailed(event_id, run.ended_at, run.path, run.serial, run.error, command)
    if order.command.reads_file:
        return NodeSucceeded(event_id, run.ended_at, run.path, run.serial, run.items, True)
    node = node_of(plan, run.path)
    if node is None or not node.decision_paths:
        return NodeSucceeded(event_id, run.ended_at, run.path, run.serial)
    values = prune(run.output, node.decision_paths)
    size = len(msgspec.json.encode(values))
    small = size <= VALUES_ATTACHED_BYTES_MAX
    return NodeSucceeded(event_id, run.ended_at, run.path, run.serial, values if small else None, small, size)


def target_of(node: NodePlan) -> str:
    """The agent or tool that a node runs; "" if it runs neither, or a formula says which."""
    target = node.spec.target if isinstance(node.spec, (AgentSpec, ToolSpec)) else ""
    return target if isinstance(target, str) else ""
