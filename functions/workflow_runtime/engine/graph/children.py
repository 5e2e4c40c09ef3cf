"""Sub-workflows: nodes that start an execution of another workflow and, unless they say otherwise, wait for its end.

Each attempt starts an execution of its own, which is known by the token of the order. A node that runs again because
somebody wants the whole execution to go on has the one that it started last go on, if that has not succeeded; it
reports under a new token then, so that what it reported before means nothing any more.
"""

from __future__ import annotations

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Child, Pending, Purpose
from workflow_runtime.engine.commands import StartChild
from workflow_runtime.engine.events import ChildEnded, ChildStarted
from workflow_runtime.engine.graph import outcome
from workflow_runtime.engine.graph.outcome import Result, Yielded
from workflow_runtime.engine.graph.policy import Failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.waits import begin
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.pending import Resolution
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import Cause, ErrorDocument, NodeError
from workflow_runtime.plan.specs import SubWorkflowSpec

GENERATIONS_MAX = 50  # of executions that wait for each other: a workflow that starts itself comes to an end


def start(scope: GraphScope, node: int) -> None:
    """Start the execution, or have the one go on that the node started last. Raises `ValuesMissing`,
    `EvaluationError`, `NodeError`."""
    plan, spec, state = scope.block.nodes[node], _spec(scope, node), scope.turn.state
    workflow_id = _workflow(scope, node, spec)
    inputs = scope.evaluate(plan.inputs, node) if plan.inputs is not None else {}
    generation = next_generation(state)
    token = f"{scope.path(node)}#{scope.graph.serial(node)}"
    earlier = _last_of_earlier_visit(scope, node, workflow_id)
    child = scope.graph.children[node] = Child(workflow_id, earlier.order if earlier is not None else token)
    scope.commands.append(
        StartChild(
            token,
            workflow_id,
            inputs,
            notify=spec.wait,
            hops=state.hops,
            node=scope.path(node),
            version=spec.version,
            generation=generation,
            reopens=child.order if earlier is not None else "",
        )
    )
    pending.await_own_child(scope, node, token, Purpose.WAIT if spec.wait else Purpose.START, child)
    begin(scope, node)
    if plan.timeout_seconds is not None and spec.wait:
        pending.start_timer(scope, node, Purpose.TIMEOUT, scope.turn.now + round(plan.timeout_seconds * 1000))


def resolved(scope: GraphScope, node: int, what: Resolution) -> None:
    """The execution is there, or has ended, or its time has run out. Raises `ValuesMissing`."""
    pending.drop_owned(scope, node)  # with its time its execution is told to end
    result: Result
    match what:
        case ChildStarted(execution_id=execution_id):
            result = Yielded({"execution_id": execution_id})
        case ChildEnded(status=ExecutionStatus.COMPLETED):
            result = Yielded(what.output if what.blob is None else scope.turn.blob(what.blob))
        case ChildEnded():
            if not what.execution_id:
                del scope.graph.children[node]
            result = Failure(error_of(scope.path(node), what))
        case Pending():
            seconds = scope.block.nodes[node].timeout_seconds or 0
            result = Failure(ErrorDocument.of("timeout", f"it has not ended within {seconds:g} s", scope.path(node)))
        case _:
            raise AssertionError("sub-workflows wait for nothing else")
    outcome.conclude(scope, node, result)


def next_generation(state: ExecutionState) -> int:
    """Of what an execution starts. Raises `NodeError` (``child_start_failed``)."""
    generation = (state.parent.generation if state.parent is not None else 0) + 1
    if generation > GENERATIONS_MAX:
        message = f"an execution has at most {GENERATIONS_MAX} generations of sub-workflows below it"
        raise NodeError("child_start_failed", message)
    return generation


def _spec(scope: GraphScope, node: int) -> SubWorkflowSpec:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, SubWorkflowSpec)
    return spec


def _workflow(scope: GraphScope, node: int, spec: SubWorkflowSpec) -> str:
    if isinstance(spec.workflow, str):
        return spec.workflow
    value = scope.evaluate(spec.workflow, node)
    if value not in spec.allow:
        raise NodeError("not_allowed", f"{value!r} is not one of the allowed: {', '.join(spec.allow)}")
    return str(value)


def _last_of_earlier_visit(scope: GraphScope, node: int, workflow_id: str) -> Child | None:
    """What the node started last, if this is the first attempt of another visit; attempts that a policy grants start
    anew."""
    graph = scope.graph
    child = graph.children.get(node)
    if child is None or child.workflow_id != workflow_id or graph.serial(node) != graph.visit(node):
        return None
    return child


def error_of(path: str, ended: ChildEnded) -> ErrorDocument:
    """Of the node at this path, whose execution did not succeed, or could not be started."""
    error = ended.error
    if not ended.execution_id and error is not None:
        return ErrorDocument.of(error.type, error.message, path)
    cause = Cause(ended.execution_id, error.node if error is not None else "")
    if ended.status == ExecutionStatus.CANCELLED or error is None:
        return ErrorDocument.of("cancelled", f"the execution {ended.execution_id} was cancelled", path, cause=cause)
    return ErrorDocument.of(error.type, error.message, path, error.retry_after, cause)
