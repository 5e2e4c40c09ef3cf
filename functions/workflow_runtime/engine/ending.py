"""How an execution ends: completion with its outputs, or failure with the first error."""

from __future__ import annotations

from workflow_runtime.engine.commands import Read, SetStatus
from workflow_runtime.engine.control import DECISION_BYTES_MAX
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.names import View, error_value, evaluate
from workflow_runtime.engine.orders import order_outputs
from workflow_runtime.engine.turn import Turn, ValuesMissing
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.expressions import EvaluationError
from workflow_runtime.plan import OUTPUTS, GraphBlock, Json, Plan
from workflow_runtime.schemas import violation


def end_if_done(turn: Turn) -> None:
    """Once every node has ended: fail with the first error, or complete with the outputs."""
    if turn.graph.open_count or turn.graph.unannounced or turn.state.status.terminal or turn.state.collecting:
        return
    if turn.graph.failure is not None:
        fail(turn, turn.graph.failure)
        return
    if turn.graph.values_bytes.get(OUTPUTS, 0) > DECISION_BYTES_MAX:
        order_outputs(turn)
        turn.state.collecting = True
        return
    formula, nodes = turn.block.yields(turn.graph.succeeded_by)
    try:
        view = turn.view((formula,) if formula is not None else (), OUTPUTS, nodes)
        output = scope_output(turn.plan, turn.graph.succeeded_by, view)
    except ValuesMissing:
        return
    except NodeError as error:
        fail(turn, ErrorDocument.of(error.type, error.message))
        return
    _end(turn, ExecutionStatus.COMPLETED, SetStatus(ExecutionStatus.COMPLETED, turn.now, output=output))


def complete_with_run(turn: Turn, serial: int) -> None:
    """The output was put together by a worker and is recorded under its run."""
    _end(
        turn,
        ExecutionStatus.COMPLETED,
        SetStatus(ExecutionStatus.COMPLETED, turn.now, output_run=Read(OUTPUTS, serial)),
    )


def fail(turn: Turn, error: ErrorDocument) -> None:
    turn.state.error = error
    _end(turn, ExecutionStatus.FAILED, SetStatus(ExecutionStatus.FAILED, turn.now, error=error))


def scope_output(plan: Plan, succeeded_by: int, view: View) -> Json:
    """What the execution yields, checked against its ``output_schema``. Raises `NodeError`."""
    formula, nodes = plan.root.yields(succeeded_by)
    try:
        output = evaluate(formula, view) if formula is not None else _nodes_output(plan.root, nodes, view)
    except EvaluationError as error:
        raise NodeError("execution_error", f"outputs: {error}") from error
    problem = violation(plan.output_schema, output) if plan.output_schema is not None else None
    if problem:
        raise NodeError("validation_error", f"the output does not match output_schema: {problem}")
    return output


def _nodes_output(block: GraphBlock, nodes: tuple[int, ...], view: View) -> Json:
    """One node: its output. Several: an object by node id of those that succeeded. None: null."""
    outputs = {
        block.nodes[node].id: view.nodes[node].output
        for node in nodes
        if node in view.nodes and view.nodes[node].status == "success"
    }
    return outputs if len(nodes) > 1 else next(iter(outputs.values()), None)


def _end(turn: Turn, status: ExecutionStatus, command: SetStatus) -> None:
    state = turn.state
    state.status = status
    state.ended_at = turn.now
    state.collecting = False
    state.globals = None
    turn.graph.values.clear()
    turn.graph.values_bytes.clear()
    turn.graph.withdrawn.clear()  # workers run nothing of an execution that has ended
    turn.commands.append(command)
    if "execution" in turn.plan.events:
        error = {"error": error_value(state.error)} if state.error else {}
        turn.publish(f"execution.{status.value}", status=status.value, started_at=state.started_at, **error)
