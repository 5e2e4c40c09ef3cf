"""How executions end: completion with outputs, failure with the first error, or because somebody wants it."""

from __future__ import annotations

from workflow_runtime.engine import holding, pending, subscriptions
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import NotifyParent, Read, SetStatus
from workflow_runtime.engine.graph.control import DECISION_BYTES_MAX
from workflow_runtime.engine.graph.outputs import graph_output, skip_uncalled
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.work import order_outputs
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import error_value
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import OUTPUTS


def end_root_if_done(root: GraphScope) -> None:
    """Once every node of the graph at the top has ended: fail with the first error, or complete with the outputs.

    Beside a chart, only a failure ends the execution: the end itself is the chart's. Raises `ValuesMissing`.
    """
    turn = root.turn
    state = turn.state
    if root.graph.open_count or state.unannounced or state.status.terminal or state.collecting:
        return
    skip_uncalled(root)
    if root.graph.failure is not None:
        fail(root.scopes, root.graph.failure)
    elif not turn.plan.has_chart:
        _complete_root(turn, root)


def _complete_root(turn: Turn, root: GraphScope) -> None:
    if root.graph.values_bytes.get(OUTPUTS, 0) > DECISION_BYTES_MAX:
        order_outputs(root)
        turn.state.collecting = True
        return
    try:
        output = graph_output(root)
    except NodeError as error:
        fail(root.scopes, ErrorDocument.of(error.type, error.message))
        return
    complete(root.scopes, output)


def complete(scopes: Scopes, output: Json) -> None:
    """The execution has succeeded with this output."""
    status = ExecutionStatus.COMPLETED
    _end(scopes, status, SetStatus(status, scopes.turn.now, output=output))


def complete_with_run(scopes: Scopes, serial: int) -> None:
    """The output was put together by a worker and is recorded under its run."""
    status = ExecutionStatus.COMPLETED
    _end(scopes, status, SetStatus(status, scopes.turn.now, output_run=Read(OUTPUTS, serial)))


def fail(scopes: Scopes, error: ErrorDocument) -> None:
    """The execution has failed for good."""
    scopes.turn.state.error = error
    status = ExecutionStatus.FAILED
    _end(scopes, status, SetStatus(status, scopes.turn.now, error=error))


def time_out(scopes: Scopes) -> None:
    """The execution has taken longer than it may, whatever goes on in it."""
    seconds = scopes.turn.plan.timeout_seconds or 0
    fail(scopes, ErrorDocument.of("timeout", f"the execution has not ended within {seconds:g} s"))


def cancel(scopes: Scopes) -> None:
    """The execution ends because somebody wants it."""
    status = ExecutionStatus.CANCELLED
    _end(scopes, status, SetStatus(status, scopes.turn.now))


def close_all(scopes: Scopes, status: ExecutionStatus = ExecutionStatus.FAILED) -> None:
    """Cancel whatever still runs.

    How the nodes of the graph at the top ended, and the configuration of the chart there, stay to be seen. So does what
    its graphs have come to, unless all is done: somebody may want it to go on.
    """
    scopes.root.close()
    top = scopes.top_chart
    if isinstance(top, ChartScope) and status is not ExecutionStatus.COMPLETED:
        top.halt()
    elif top is not None:
        top.close()


def _end(scopes: Scopes, status: ExecutionStatus, command: SetStatus) -> None:
    close_all(scopes, status)
    turn = scopes.turn
    state = turn.state
    state.status = status
    state.ended_at = turn.now
    state.collecting = False
    state.globals = None
    state.queued.clear()
    if status is not ExecutionStatus.CANCELLED:
        state.withdrawn.clear()  # workers start nothing of an execution that has ended
    pending.drop_everything(turn)
    subscriptions.end(turn)
    holding.forget(state)
    state.outbox.clear()
    state.kept.clear()
    turn.commands.append(command)
    if state.parent is not None and state.parent.notify:
        turn.commands.append(NotifyParent(state.parent.execution_id, state.parent.token))
    if "execution" in turn.plan.events:
        error = {"error": error_value(state.error)} if state.error else {}
        turn.publish(f"execution.{status.value}", status=status.value, started_at=state.started_at, **error)
