"""Callbacks: nodes whose code has returned, and which wait for somebody to complete their task token.

A token is of one run. It counts while its attempt is open, also before its code has returned; that of a run whose
worker was lost counts as long as the visit is open, whatever runs by then.
"""

from __future__ import annotations

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Callback, Purpose
from workflow_runtime.engine.events import NodeYielded, TaskCompleted, TaskFailed
from workflow_runtime.engine.graph import failure, outcome
from workflow_runtime.engine.graph.outcome import Completed, Result
from workflow_runtime.engine.graph.policy import Failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import Change, Mark
from workflow_runtime.engine.pending import Resolution
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.errors import ErrorDocument

AGAIN_MS = 1_000  # after which it is asked once more when the last sign of life came


def yielded(scope: GraphScope, node: int, event: NodeYielded) -> None:
    """The code of the current run has returned."""
    scope.turn.state.in_flight -= 1
    scope.change(node, Change.START)
    scope.graph.begun[node] = event.started_at or scope.turn.now
    callback = Callback(event.task, event.serial, event.attempt, event.heartbeat)
    pending.await_task(scope, node, scope.path(node), callback)
    pending.start_timer(scope, node, Purpose.TIMEOUT, event.at + event.timeout)
    if event.heartbeat:
        pending.start_timer(scope, node, Purpose.HEARTBEAT, event.at + event.heartbeat, name=event.task)


def awaits(scope: GraphScope, node: int) -> bool:
    """Whether the node waits for its task token."""
    return any(entry.callback is not None and not entry.name for _, entry in pending.owned(scope, node))


def heartbeat_due(scope: GraphScope, node: int, heard: int) -> None:
    """A sign of life must have come by now. Raises `ValuesMissing`."""
    callback = _callback(scope, node)
    due = next_heartbeat(scope, callback, heard)
    if due:
        pending.start_timer(scope, node, Purpose.HEARTBEAT, due, name=callback.task)
    else:
        silent = callback.heartbeat / 1000
        _conclude(scope, node, _timeout(scope, node, f"its task token had no heartbeat for {silent:g} s"))


def next_heartbeat(scope: GraphScope, callback: Callback, heard: int) -> int:
    """When the next sign of life must have come, if the last one is known to have come in time (epoch ms); else 0."""
    now = scope.turn.now
    if heard < 0:
        return now + AGAIN_MS
    return heard + callback.heartbeat if heard + callback.heartbeat > now else 0


def timed_out(scope: GraphScope, node: int, _: Resolution) -> None:
    """Nobody has completed the token in time. Raises `ValuesMissing`."""
    _conclude(scope, node, _timeout(scope, node, "its task token was not completed in time"))


def cannot_take(graph: GraphState, node: int, serial: int, *, lost: bool) -> str:
    """Why what is said of the token of this run would have no effect now; "" if it would."""
    mark, current = graph.marks[node], graph.serial(node)
    if mark not in (Mark.READY, Mark.RUNNING, Mark.QUEUED, Mark.RETRYING) or serial < graph.visit(node):
        return "the node has ended"
    if serial == current or (lost and serial < current):
        return ""
    return f"this token is of run {serial} of the node, and run {current} has taken its place"


def take(scope: GraphScope, node: int, event: TaskCompleted | TaskFailed) -> None:
    """End the node's attempt as somebody says. Raises `ValuesMissing`."""
    if isinstance(event, TaskCompleted):
        output = event.output if event.blob is None else scope.turn.blob(event.blob)
        _conclude(scope, node, Completed(output))
    else:
        _conclude(scope, node, Failure(event.error))


def _conclude(scope: GraphScope, node: int, result: Result) -> None:
    """What still goes on in a worker comes too late, and nothing runs in the node's place any more."""
    mark = scope.graph.marks[node]
    failure.release(scope, node)
    if mark in (Mark.QUEUED, Mark.RETRYING):
        _begin_again(scope, node)
    outcome.conclude(scope, node, result)


def _begin_again(scope: GraphScope, node: int) -> None:
    """A node between two attempts: the next one has come to its end before it was ordered."""
    if scope.graph.marks[node] == Mark.RETRYING:
        scope.change(node, Change.ENQUEUE)
    scope.change(node, Change.START)


def _callback(scope: GraphScope, node: int) -> Callback:
    return next(entry.callback for _, entry in pending.owned(scope, node) if entry.callback is not None)


def _timeout(scope: GraphScope, node: int, message: str) -> Failure:
    return Failure(ErrorDocument.of("timeout", message, scope.path(node)))
