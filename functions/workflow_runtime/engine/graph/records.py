"""What is recorded of nodes that the dispatcher ran itself, and of those in whose place another ran.

The inputs of a node are recorded only if they may be needed to undo it, with the run that succeeded. A worker's never
leave the worker's records, as they may hold secrets: a record names the one that has them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from workflow_runtime.engine.commands import Read, RecordNode
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.language.expressions import EvaluationError


def record(scope: GraphScope, node: int, **said: Any) -> RecordNode:
    """The record of the node's current run, which ends now; ``said``: its other fields."""
    return RecordNode(
        scope.path(node),
        scope.graph.serial(node),
        scope.turn.now,
        started_at=scope.graph.begun.get(node, 0),
        attempt=scope.attempt(node),
        child=scope.child(node),
        warnings=scope.graph.notes.get(node, ()),
        **said,
    )


def with_own_inputs(scope: GraphScope, node: int, failed: RecordNode) -> RecordNode:
    """The record of a failed attempt with the inputs that it had, for another node is to run in its place, and this one
    may have to be undone then. Of a worker's, the worker has recorded them."""
    plan = scope.block.nodes[node]
    if plan.compensate < 0:
        return failed
    if failed.fallback_error is not None:
        return with_earlier_inputs(scope, node, failed)
    if plan.pool is not None:
        return replace(failed, inputs_of=Read(scope.block.first + node, failed.serial, scope.prefix))
    if plan.inputs is not None:
        with suppress(EvaluationError):  # then it had none
            return replace(failed, inputs=scope.evaluate(plan.inputs, node))
    return failed


def with_earlier_inputs(scope: GraphScope, node: int, own: RecordNode) -> RecordNode:
    """The record of what ran in the node's place, with the inputs of the run before, which is the one that failed."""
    if scope.block.nodes[node].compensate < 0:
        return own
    return replace(own, inputs_of=Read(scope.block.first + node, own.serial - 1, scope.prefix))
