"""States of schema 2, in which the marks of a long graph stood within it, and each node of a layer had a count of its
own. They have the fields of the present layout; what lay elsewhere is put in its place. Nothing writes this schema any
more.
"""

from __future__ import annotations

from workflow_runtime.engine.lifecycle import WAITING
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import STATE_SCHEMA, ExecutionState
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.plan import Plan

SCHEMA = 2


def placed(plan: Plan, old: ExecutionState) -> ExecutionState:
    """The same state in the present layout."""
    state = old.copy()
    for address in [*state.scopes]:
        graph = state.look(address)
        if isinstance(graph, GraphState) and graph.joins:
            graph = state.scopes[address] = graph.copy()
            _count_layers(plan.blocks[graph.block], graph)
    state.schema = STATE_SCHEMA
    return state


def _count_layers(block: GraphBlock, graph: GraphState) -> None:
    for node, (decided, alive, _) in [*graph.joins.items()]:
        layer = block.layer(node)
        if len(layer) > 1:
            del graph.joins[node]
            if graph.marks[node] == WAITING and node not in graph.due:  # the counts of all that wait are the same
                graph.layers[layer[0]] = decided if alive else -decided
