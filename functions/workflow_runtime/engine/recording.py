"""Recording the outcome of a node that the dispatcher ran itself."""

from __future__ import annotations

import msgspec

from workflow_runtime.engine.commands import RecordNode
from workflow_runtime.engine.pruning import prune
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import Mark
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.specs import AggregationSpec, PassSpec, SucceedSpec

COLLECTING = (AggregationSpec, PassSpec, SucceedSpec)
"""Specs that put values together, and that a worker runs when those are too large."""


def record(scope: GraphScope, node: int, output: Json) -> None:
    """The node succeeded with this output. Raises `ValuesMissing`, `EvaluationError`."""
    plan = scope.block.nodes[node]
    if plan.shape is not None:
        inputs = scope.evaluate(plan.inputs, node) if plan.inputs is not None else {}
        output = scope.evaluate(plan.shape, node, {"inputs": inputs, "output": output})
    elif plan.output_fields is not None:
        fields = output if isinstance(output, dict) else {}
        output = {field: fields.get(field) for field in plan.output_fields}
    scope.commands.append(RecordNode(scope.path(node), scope.graph.serial(node), scope.now, output=output))
    scope.keep(node, output)
    if any(_collects(scope, reader) for reader in scope.block.readers[node]):
        count_bytes(scope, node, len(msgspec.json.encode(prune(output, plan.decision_paths))))
    scope.end(node, Mark.SUCCESS)


def count_bytes(scope: GraphScope, node: int, size: int) -> None:
    """Note how much those who put values together will have to read of ``node``."""
    sizes = scope.graph.values_bytes
    for reader in scope.block.readers[node]:
        if _collects(scope, reader):
            sizes[reader] = sizes.get(reader, 0) + size


def _collects(scope: GraphScope, reader: int) -> bool:
    return reader == OUTPUTS or (isinstance(scope.block.nodes[reader].spec, COLLECTING) and scope.is_open(reader))
