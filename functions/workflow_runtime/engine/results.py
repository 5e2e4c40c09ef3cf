"""Results of node runs: a run ended well or badly, once, late, or twice."""

from __future__ import annotations

from workflow_runtime.engine import ending
from workflow_runtime.engine.control import count_bytes, succeed_scope
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded
from workflow_runtime.engine.failure import node_failed
from workflow_runtime.engine.lifecycle import NODE_ROWS
from workflow_runtime.engine.orders import OUTPUTS_PATH, order_again
from workflow_runtime.engine.state import STATUS_OF_MARK, Mark
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.plan import OUTPUTS, SucceedSpec


def accept_result(turn: Turn, event: NodeSucceeded | NodeFailed) -> str:
    """Take a run's result. Returns why it was ignored, or "". Raises `InvalidEvent` for a run never ordered."""
    if event.path == OUTPUTS_PATH:
        return _accept_outputs(turn, event)
    node = turn.block.index.get(event.path)
    if node is None:
        raise InvalidEvent(f"the plan has no node {event.path!r}")
    current = turn.graph.serial(node)
    if event.serial < current:
        return f"run {event.serial} was superseded by run {current}"
    mark = turn.graph.marks[node]
    row = NODE_ROWS.get((STATUS_OF_MARK[mark], type(event)))
    if row is None or event.serial > current or mark == Mark.QUEUED:
        raise InvalidEvent(f"run {event.serial} of node {event.path!r} was never ordered")
    if row.status is None:
        return row.reason
    if isinstance(event, NodeSucceeded):
        _succeeded(turn, node, event)
    elif not order_again(turn, event):
        turn.graph.in_flight -= 1
        node_failed(turn, node, event.error)
    return ""


def _succeeded(turn: Turn, node: int, event: NodeSucceeded) -> None:
    turn.graph.in_flight -= 1
    if event.has_values:
        turn.keep(node, event.values)
    if event.values_bytes:
        count_bytes(turn, node, event.values_bytes)
    turn.end(node, Mark.SUCCESS)
    if isinstance(turn.block.nodes[node].spec, SucceedSpec):
        succeed_scope(turn, node)


def _accept_outputs(turn: Turn, event: NodeSucceeded | NodeFailed) -> str:
    current = turn.graph.serial(OUTPUTS)
    if not turn.state.collecting or event.serial > current:
        raise InvalidEvent(f"run {event.serial} of the outputs was never ordered")
    if event.serial < current:
        return f"run {event.serial} was superseded by run {current}"
    if isinstance(event, NodeSucceeded):
        ending.complete_with_run(turn, event.serial)
    elif not order_again(turn, event):
        ending.fail(turn, event.error)
    return ""
