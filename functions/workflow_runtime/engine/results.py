"""Results of node runs: a run ended well or badly, once, late, or twice."""

from __future__ import annotations

from workflow_runtime.engine import ending
from workflow_runtime.engine.control import succeed_scope
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded
from workflow_runtime.engine.failure import node_failed
from workflow_runtime.engine.lifecycle import NODE_ROWS
from workflow_runtime.engine.orders import OUTPUTS_PATH, order_again
from workflow_runtime.engine.recording import count_bytes
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import STATUS_OF_MARK, Mark
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.specs import SucceedSpec


def accept_result(turn: Turn, event: NodeSucceeded | NodeFailed) -> str:
    """Take a run's result. Returns why it was ignored, or "". Raises `InvalidEvent` for a run never ordered."""
    if event.path == OUTPUTS_PATH:
        return _accept_outputs(turn, event)
    number = turn.plan.numbers.get(event.path)
    if number is None:
        raise InvalidEvent(f"the plan has no node {event.path!r}")
    block, node = turn.plan.place(number)
    scope = turn.graphs.get(block)
    if scope is None:
        return "the state that ran it was left before its result came"
    current = scope.graph.serial(node)
    if event.serial < current:
        return f"run {event.serial} was superseded by run {current}"
    mark = scope.graph.marks[node]
    row = NODE_ROWS.get((STATUS_OF_MARK[mark], type(event)))
    if row is None or event.serial > current or mark == Mark.QUEUED:
        raise InvalidEvent(f"run {event.serial} of node {event.path!r} was never ordered")
    if row.status is None:
        return row.reason
    if isinstance(event, NodeSucceeded):
        _succeeded(scope, node, event)
    elif not order_again(scope, event, node):
        turn.state.in_flight -= 1
        node_failed(scope, node, event.error)
    return ""


def _succeeded(scope: GraphScope, node: int, event: NodeSucceeded) -> None:
    scope.state.in_flight -= 1
    if event.has_values:
        scope.keep(node, event.values)
    if event.values_bytes:
        count_bytes(scope, node, event.values_bytes)
    scope.end(node, Mark.SUCCESS)
    if isinstance(scope.block.nodes[node].spec, SucceedSpec):
        succeed_scope(scope, node)


def _accept_outputs(turn: Turn, event: NodeSucceeded | NodeFailed) -> str:
    root = turn.graphs[0]
    current = root.graph.serial(OUTPUTS)
    if not turn.state.collecting or event.serial > current:
        raise InvalidEvent(f"run {event.serial} of the outputs was never ordered")
    if event.serial < current:
        return f"run {event.serial} was superseded by run {current}"
    if isinstance(event, NodeSucceeded):
        ending.complete_with_run(turn, event.serial)
    elif not order_again(root, event, OUTPUTS):
        ending.fail(turn, event.error)
    return ""
