"""How scopes and executions end: completion with outputs, or failure with the first error."""

from __future__ import annotations

from workflow_runtime.engine import closing
from workflow_runtime.engine.commands import NotifyParent, Read, SetStatus, Unsubscribe
from workflow_runtime.engine.control import DECISION_BYTES_MAX
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.names import View, error_value, evaluate
from workflow_runtime.engine.orders import order_outputs
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import Mark
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import violation
from workflow_runtime.plan.graph import OUTPUTS, GraphBlock
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.triggers import EventTrigger


def end_root_if_done(turn: Turn) -> None:
    """Once every node of the graph at the top has ended: fail with the first error, or complete with the outputs.

    Beside a chart, only a failure ends the execution: the end itself is the chart's.
    """
    state = turn.state
    root = turn.graphs[0]
    if root.graph.open_count or state.unannounced or state.status.terminal or state.collecting:
        return
    skip_uncalled(root)
    if root.graph.failure is not None:
        closing.close_all(turn)
        fail(turn, root.graph.failure)
    elif not turn.plan.has_chart:
        _complete_root(turn, root)


def _complete_root(turn: Turn, root: GraphScope) -> None:
    """Raises `ValuesMissing`."""
    if root.graph.values_bytes.get(OUTPUTS, 0) > DECISION_BYTES_MAX:
        order_outputs(root)
        turn.state.collecting = True
        return
    try:
        output = graph_output(root)
    except NodeError as error:
        fail(turn, ErrorDocument.of(error.type, error.message))
        return
    complete(turn, output)


def skip_uncalled(scope: GraphScope) -> None:
    """Nodes that were only there to be called, and that nobody called, are skipped."""
    for node, plan in enumerate(scope.block.nodes if scope.block.called_count else ()):
        if plan.called and scope.graph.marks[node] == Mark.WAITING:
            scope.graph.marks[node] = Mark.SKIPPED


def graph_output(scope: GraphScope) -> Json:
    """What a graph yields. Raises `ValuesMissing`, `NodeError`."""
    formula, nodes = scope.block.yields(scope.graph.succeeded_by)
    view = scope.view((formula,) if formula is not None else (), OUTPUTS, nodes)
    return scope_output(scope.plan, scope.block, scope.graph.succeeded_by, view)


def complete(turn: Turn, output: Json) -> None:
    """The execution has succeeded with this output."""
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


def scope_output(plan: Plan, block: GraphBlock, succeeded_by: int, view: View) -> Json:
    """What a graph yields; the execution's is checked against its ``output_schema``. Raises `NodeError`."""
    formula, nodes = block.yields(succeeded_by)
    try:
        output = evaluate(formula, view) if formula is not None else _nodes_output(block, nodes, view)
    except EvaluationError as error:
        raise NodeError("execution_error", f"outputs: {error}") from error
    if block is plan.root:
        check_output(plan, output)
    return output


def check_output(plan: Plan, output: Json) -> None:
    """Raises `NodeError` when the execution's output is not as its ``output_schema`` says."""
    problem = violation(plan.output_schema, output) if plan.output_schema is not None else None
    if problem:
        raise NodeError("validation_error", f"the output does not match output_schema: {problem}")


def _nodes_output(block: GraphBlock, nodes: tuple[int, ...], view: View) -> Json:
    """One node: its output. Several: an object by node id of those that succeeded. None: null."""
    outputs = {}
    for node in nodes:
        value = view.nodes.get(block.first + node)
        if value is not None and value.status == "success":
            outputs[block.nodes[node].id] = value.output
    return outputs if len(nodes) > 1 else next(iter(outputs.values()), None)


def _end(turn: Turn, status: ExecutionStatus, command: SetStatus) -> None:
    state = turn.state
    state.status = status
    state.ended_at = turn.now
    state.collecting = False
    state.globals = None
    state.root.values.clear()
    state.root.values_bytes.clear()
    state.withdrawn.clear()  # workers run nothing of an execution that has ended
    for timer in list(state.timers):
        turn.cancel_timer(timer)
    for number, key in state.subscriptions.items():
        trigger = turn.plan.triggers[number]
        assert isinstance(trigger, EventTrigger)
        turn.commands.append(Unsubscribe(trigger.event, key))
    state.subscriptions.clear()
    state.outbox.clear()
    state.kept.clear()
    turn.commands.append(command)
    if state.parent is not None and state.parent.notify:
        turn.commands.append(NotifyParent(state.parent.execution_id, state.parent.token))
    if "execution" in turn.plan.events:
        error = {"error": error_value(state.error)} if state.error else {}
        turn.publish(f"execution.{status.value}", status=status.value, started_at=state.started_at, **error)
