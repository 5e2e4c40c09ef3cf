"""What a graph at work yields, once its nodes have ended."""

from __future__ import annotations

from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import Change, Mark
from workflow_runtime.engine.values.outputs import scope_output
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import OUTPUTS


def graph_output(scope: GraphScope) -> Json:
    """Raises `ValuesMissing`, `NodeError`."""
    formula, nodes = scope.block.yields(scope.graph.succeeded_by)
    view = scope.view((formula,) if formula is not None else (), OUTPUTS, nodes)
    return scope_output(scope.plan, scope.block, scope.graph.succeeded_by, view)


def skip_uncalled(scope: GraphScope) -> None:
    """Nodes that were only there to be called, and that nobody called, are skipped."""
    for node, plan in enumerate(scope.block.nodes if scope.block.called_count else ()):
        if plan.called and scope.graph.marks[node] == Mark.WAITING:
            scope.change(node, Change.SKIP)
