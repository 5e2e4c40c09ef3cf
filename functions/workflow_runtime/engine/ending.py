"""How executions end: completion with outputs, failure with the first error, or on request.

One that does not complete undoes what succeeded in it, and only then has ended (`compensation`).
"""

from __future__ import annotations

from workflow_runtime.engine import compensation, holding, pending, subscriptions
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import NotifyParent, Read, SetStatus
from workflow_runtime.engine.graph.control import DECISION_BYTES_MAX
from workflow_runtime.engine.graph.outputs import graph_output, skip_uncalled
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.work import order_outputs
from workflow_runtime.engine.lifecycle import ExecutionStatus, Mark
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
    if root.graph.open_count and root.graph.failure is None:
        return
    turn = root.turn
    state = turn.state
    if state.status is not ExecutionStatus.RUNNING:
        return
    if root.graph.failure is not None and compensation.is_wanted(turn, compensation.FAILURE):
        compensation.spare(turn)  # nodes that run in any case may still have to, but the end is certain
    if root.graph.open_count or state.unannounced or state.collecting:
        return
    skip_uncalled(root)
    if root.graph.failure is not None:
        fail(root.scopes, root.graph.failure)
    elif not turn.plan.has_chart:
        _complete_root(turn, root)


def end_part_if_done(scope: GraphScope) -> None:
    """Once the loop has ended whose passes this execution runs, so has the execution, and with the loop's output."""
    turn = scope.turn
    state = turn.state
    if state.status is not ExecutionStatus.RUNNING or scope.graph.open_count or state.unannounced:
        return
    if scope.graph.failure is not None:
        fail(scope.scopes, scope.graph.failure)
        return
    loop = turn.plan.locate(state.part)
    assert loop is not None, "it is entered at this loop"
    run = Read(scope.block.first + loop.node, scope.graph.serial(loop.node), state.part)
    _stop(scope.scopes, ExecutionStatus.COMPLETED)
    _conclude(scope.scopes, SetStatus(ExecutionStatus.COMPLETED, turn.now, output_run=run))


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
    _stop(scopes, ExecutionStatus.COMPLETED)
    _conclude(scopes, SetStatus(ExecutionStatus.COMPLETED, scopes.turn.now, output=output))


def complete_with_run(scopes: Scopes, serial: int) -> None:
    """The output was put together by a worker and is recorded under its run."""
    _stop(scopes, ExecutionStatus.COMPLETED)
    _conclude(scopes, SetStatus(ExecutionStatus.COMPLETED, scopes.turn.now, output_run=Read(OUTPUTS, serial)))


def fail(scopes: Scopes, error: ErrorDocument, occasion: str = compensation.FAILURE) -> None:
    """The execution has failed for good."""
    scopes.turn.state.error = error
    _end(scopes, ExecutionStatus.FAILED, error, occasion)


def time_out(scopes: Scopes) -> None:
    """The execution has taken longer than it may, whatever goes on in it."""
    seconds = scopes.turn.plan.timeout_seconds or 0
    error = ErrorDocument.of("timeout", f"the execution has not ended within {seconds:g} s")
    fail(scopes, error, compensation.TIMEOUT)


def cancel(scopes: Scopes, reason: str) -> None:
    """The execution ends because someone asked for it."""
    _end(scopes, ExecutionStatus.CANCELLED, compensation.cancelled(reason), compensation.CANCEL)


def fail_if_too_much_to_undo(scopes: Scopes) -> None:
    """An execution with more visits to undo than its state may hold ends here, so that none of them is forgotten."""
    state = scopes.turn.state
    if state.undo.are_more_than(compensation.UNDO_MAX) and state.status is ExecutionStatus.RUNNING:
        message = (
            f"more than {compensation.UNDO_MAX:,} visits of nodes would have to be undone; "
            "split the work into child executions"
        )
        fail(scopes, ErrorDocument.of("state_too_large", message))


def undo_again(scopes: Scopes) -> bool:
    """Undo what an ended execution has not undone yet, then end as before. False if there is nothing."""
    if not compensation.again(scopes):
        return False
    scopes.turn.state.attempt += 1
    _announce_compensation(scopes, scopes.turn.state.attempt)
    return True


def compensate_on(scopes: Scopes) -> bool:
    """Go on with a compensation; once nothing is left to undo, the execution has ended. False if it has to wait."""
    state = scopes.turn.state
    undoing = state.undoing
    if undoing is None:
        return False
    if compensation.undo_more(scopes, undoing):
        return True
    if compensation.goes_on(state):
        return False
    error = undoing.error if undoing.status is ExecutionStatus.FAILED else None
    command = SetStatus(undoing.status, scopes.turn.now, error=error, compensation=compensation.result(state))
    _conclude(scopes, command)
    return True


def stop_waiting(scopes: Scopes) -> None:
    """What runs in workers has had its time to end."""
    if scopes.turn.state.awaits_cancelled:
        compensation.close(scopes.turn)
    else:
        compensation.give_up(scopes.turn)


def break_off(scopes: Scopes, error: ErrorDocument) -> None:
    """End an execution at once, whatever is left to undo."""
    state = scopes.turn.state
    undoing = state.undoing
    if state.status is not ExecutionStatus.COMPENSATING or undoing is None:
        fail(scopes, error)
        return
    for place in [place for place, fate in state.fates.items() if fate.mark == Mark.RUNNING]:
        del state.fates[place]
    undoing.open = undoing.left = 0
    undoing.held.clear()
    state.in_flight -= len(state.stopping)
    state.stopping.clear()
    state.originals.clear()
    pending.drop_everything(scopes.turn)
    ended = undoing.error if undoing.status is ExecutionStatus.FAILED else None
    _conclude(scopes, SetStatus(undoing.status, scopes.turn.now, error=ended, compensation="failed"))


def close_all(scopes: Scopes, status: ExecutionStatus = ExecutionStatus.FAILED) -> None:
    """Cancel whatever still runs.

    How the nodes of the graph at the top ended, and the configuration of the chart there, stay to be seen. So does what
    its graphs have done, unless all is done: someone may ask for it to go on.
    """
    scopes.root.close()
    top = scopes.top_chart
    if isinstance(top, ChartScope) and status is not ExecutionStatus.COMPLETED:
        top.halt()
    elif top is not None:
        top.close()


def _end(scopes: Scopes, status: ExecutionStatus, error: ErrorDocument, occasion: str) -> None:
    """The execution ends badly: first it undoes what it has done, if that is wanted and there is anything to undo."""
    turn = scopes.turn
    state = turn.state
    wanted = compensation.is_wanted(turn, occasion)
    _stop(scopes, status, spare=wanted)
    if wanted and compensation.has_work(state):
        compensation.begin(scopes, status, error)
        _announce_compensation(scopes)
        return
    ended = error if status is ExecutionStatus.FAILED else None
    _conclude(scopes, SetStatus(status, turn.now, error=ended))


def _announce_compensation(scopes: Scopes, reopened: int = 0) -> None:
    turn = scopes.turn
    status = ExecutionStatus.COMPENSATING
    turn.commands.append(SetStatus(status, turn.now, error=turn.state.error, reopened=reopened))
    _publish(turn, status)


def _stop(scopes: Scopes, status: ExecutionStatus, *, spare: bool = False) -> None:
    """Nothing of the execution goes on. ``spare``: runs that can be undone are awaited."""
    close_all(scopes, status)
    turn = scopes.turn
    state = turn.state
    if spare:
        compensation.spare(turn)
    elif state.stopping:
        compensation.give_up(turn)
    state.collecting = False
    state.globals = None
    state.queued.clear()
    state.crowded.clear()
    pending.drop_everything(turn)
    subscriptions.end(turn)
    holding.forget(state)
    state.outbox.clear()
    state.kept = ()


def _conclude(scopes: Scopes, command: SetStatus) -> None:
    """The execution has ended."""
    turn = scopes.turn
    state = turn.state
    status = state.status = ExecutionStatus(command.status)
    state.ended_at = turn.now
    if status is not ExecutionStatus.CANCELLED:
        state.withdrawn.clear()  # workers start nothing of an execution that has ended
    turn.commands.append(command)
    is_repeated = bool(command.compensation) and state.undoing is not None and state.undoing.again
    if state.parent is not None and state.parent.notify and not is_repeated and not state.goes_on:
        turn.commands.append(NotifyParent(state.parent.execution_id, state.parent.token))
    compensated = {"compensation": command.compensation} if command.compensation else {}
    _publish(turn, status, **compensated)


def _publish(turn: Turn, status: ExecutionStatus, **detail: Json) -> None:
    """Publish the execution's status, if the workflow wants that."""
    state = turn.state
    if "execution" in turn.plan.events:
        error = {"error": error_value(state.error)} if state.error else {}
        turn.publish(f"execution.{status.value}", status=status.value, started_at=state.started_at, **error, **detail)
