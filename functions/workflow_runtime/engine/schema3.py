"""What the next release stores: states in which the marks of a long graph at the top stand apart, before the rest, and
in which a layer of nodes that wait for the same has one count.

They are read so that a deployment of that release can be rolled back to this one. What this one stores has its own
layout again.
"""

from __future__ import annotations

from workflow_runtime.engine.lifecycle import WAITING
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import STATE_SCHEMA, ExecutionState
from workflow_runtime.plan.plan import Plan

NEXT_SCHEMA = 3

_BEGIN, _BETWEEN, _END = b'["', b'",', b"]"


def cut(data: bytes) -> tuple[bytes, bytes]:
    """A stored state without the marks that stand apart, and these; none if there are none."""
    if not data.startswith(_BEGIN):
        return data, b""
    end = data.find(b'"', len(_BEGIN))
    return data[end + len(_BETWEEN) : -len(_END)], data[len(_BEGIN) : end]


def as_before(plan: Plan, state: ExecutionState) -> ExecutionState:
    """The same state in the layout of this deployment."""
    found = state.copy()
    for address in [*found.scopes]:
        stored = found.look(address)
        if not isinstance(stored, GraphState) or not stored.layers:
            continue
        graph, block = stored.copy(), plan.blocks[stored.block]
        for first, count in stored.layers.items():
            progress = (abs(count), max(count, 0), 0)  # how many were alive is not asked, but whether any was
            graph.joins.update({node: progress for node in block.layer(first) if graph.marks[node] == WAITING})
        found.scopes[address] = graph
    found.schema = STATE_SCHEMA
    return found
