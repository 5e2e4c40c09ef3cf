"""Agents that have yielded: what their calls wait for, and the order of their next run once all of it is in.

A run of an agent ends when it waits for people, for a task token or for another execution, or when its function's time
is nearly up. The next one has the same visit and attempt; what is recorded of the visit's steps tells it where it is.
A call that waits is known by its name in the step log, and what came of it travels with the next order.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Approval, CallAnswer, Callback, Child, Pending, Purpose, Wait, Yields
from workflow_runtime.engine.commands import StartChild, UpdateApproval
from workflow_runtime.engine.events import ChildEnded, NodeYielded, TaskCompleted, TaskFailed
from workflow_runtime.engine.graph import approvals, callbacks, children, outcome
from workflow_runtime.engine.graph.concurrency import make_ready
from workflow_runtime.engine.graph.policy import Failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import Change, ExecutionStatus, Mark
from workflow_runtime.engine.pending import Resolution
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.json_values import Json

SERIALS_MAX = 1_000  # of a visit: an agent that goes on for ever comes to an end
IDLE_MAX = 2  # runs in a row that end without a new step, as many as attempts after lost workers
ANSWER_KEPT_BYTES_MAX = 1_024  # of what came of a call: more is stored apart, beside the state


def yielded(scope: GraphScope, node: int, event: NodeYielded) -> None:
    """The current run has ended, and the next one follows. Raises `ValuesMissing`."""
    scope.turn.state.in_flight -= 1
    scope.change(node, Change.START)
    scope.graph.begun[node] = event.started_at or scope.turn.now
    before = scope.graph.agents.get(node, Yields())
    used = before.used + max(event.at - (event.started_at or event.at), 0)
    idle = 0 if event.steps else before.idle + 1
    now = replace(before, serials=before.serials + 1, idle=idle, used=used, goes_on=False)
    scope.graph.agents[node] = now
    if now.serials >= SERIALS_MAX:
        _fail(scope, node, "max_iterations", f"the agent yielded {SERIALS_MAX:,} times in one visit")
    elif idle > IDLE_MAX:
        _fail(scope, node, "execution_error", f"the agent yielded {idle} times in a row without doing anything new")
    else:
        for wait in event.waits:
            if wait.id not in now.answers:
                _await(scope, node, wait, event)
        _go_on_if_all_is_in(scope, node)


def has_yielded(scope: GraphScope, node: int) -> bool:
    """Whether the current run of the node has ended so."""
    yields = scope.graph.agents.get(node)
    return yields is not None and (bool(yields.open) or yields.goes_on)


# ---- what calls wait for


def _await(scope: GraphScope, node: int, wait: Wait, event: NodeYielded) -> None:
    match wait.kind:
        case "tool" | "effect" | "guardrail" | "budget":
            id = approvals.ask_of_call(scope, node, wait)
        case "callback":
            callback = Callback(wait.task, event.serial, event.attempt, wait.heartbeat)
            id = pending.await_call(scope, node, callback, wait.id)
            pending.start_timer(scope, node, Purpose.TIMEOUT, event.at + wait.timeout, name=wait.id)
            if wait.heartbeat:
                pending.start_timer(scope, node, Purpose.HEARTBEAT, event.at + wait.heartbeat, name=wait.task)
        case _:
            id = _start_child(scope, node, wait)
    yields = scope.graph.agents[node]
    if id:
        scope.graph.agents[node] = replace(yields, open={**yields.open, wait.id: id})


def _start_child(scope: GraphScope, node: int, wait: Wait) -> str:
    """Start the execution that a call stands for; its token, or "" if that is impossible."""
    yields, turn = scope.graph.agents[node], scope.turn
    number = yields.calls + 1
    scope.graph.agents[node] = replace(yields, calls=number)
    path = f"{scope.path(node)}/tools/{number}"
    try:
        generation = children.next_generation(turn.state)
    except NodeError as error:
        _take(scope, node, wait.id, CallAnswer(error=ErrorDocument.of(error.type, error.message, path)))
        return ""
    token = f"{path}#{scope.graph.serial(node)}"
    is_call = wait.kind == "node"
    workflow_id = scope.plan.workflow_id if is_call else wait.target
    scope.commands.append(
        StartChild(
            token,
            workflow_id,
            wait.data,
            blob=wait.blob,
            notify=True,
            hops=turn.state.hops,
            node=path,
            generation=generation,
            call=wait.target if is_call else "",
            terms=wait.terms,
        )
    )
    pending.await_own_child(scope, node, token, Purpose.WAIT, Child(workflow_id, token))
    return token


def decided(scope: GraphScope, node: int, said: approvals.Decided) -> None:
    """People have decided about a call. Raises `ValuesMissing`."""
    kept = _kept(scope, said.data) if said.data is not UNSET else CallAnswer()
    answered(scope, node, said.call, replace(kept, approved=said.approved, by=said.by, comment=said.comment))


def answered(scope: GraphScope, node: int, id: str, answer: CallAnswer) -> None:
    """What a call waited for has come. Raises `ValuesMissing`."""
    _take(scope, node, id, answer)
    _go_on_if_all_is_in(scope, node)


def resolved(scope: GraphScope, node: int, what: Resolution) -> None:
    """A time has come, or an execution has ended. Raises `ValuesMissing`."""
    match what:
        case ChildEnded():
            answered(scope, node, _call_of(scope, node, what.token), _answer_of(scope, node, what))
        case Pending(purpose=Purpose.ESCALATION, name=name):
            approval = _asked_about(scope, node, name)
            assert approval is not None, "what is decided has no times any more"
            approvals.escalate(scope, node, approval)
        case Pending(purpose=Purpose.TIMEOUT, name=name) if _nobody_decided(scope, node, name):
            answered(scope, node, name, CallAnswer(error=_error(scope, node, "timeout", "nobody decided in time")))
        case Pending(purpose=Purpose.TIMEOUT, name=name) if name:
            message = "its task token was not completed in time"
            _end_call(scope, node, name, CallAnswer(error=_error(scope, node, "timeout", message)))
        case _:
            callbacks.timed_out(scope, node, what)


def _nobody_decided(scope: GraphScope, node: int, call: str) -> bool:
    """Nobody has answered in time what was asked about a call; False if nobody was asked."""
    approval = _asked_about(scope, node, call)
    if approval is None:
        return False
    scope.commands.append(UpdateApproval(approval.number, scope.turn.now, outcome="timeout"))
    pending.decided_call(scope, node, approval)
    return True


def _asked_about(scope: GraphScope, node: int, call: str) -> Approval | None:
    asked = (entry.approval for _, entry in pending.owned(scope, node) if entry.approval is not None)
    return next((approval for approval in asked if approval.call == call), None)


def heartbeat_due(scope: GraphScope, node: int, task: str, heard: int) -> None:
    """A sign of life must have come by now of the task token with this hash. Raises `ValuesMissing`."""
    found = next((each for _, each in pending.owned(scope, node) if each.callback and each.callback.task == task), None)
    if found is None or not found.name:
        callbacks.heartbeat_due(scope, node, heard)
        return
    assert found.callback is not None
    due = callbacks.next_heartbeat(scope, found.callback, heard)
    if due:
        pending.start_timer(scope, node, Purpose.HEARTBEAT, due, name=task)
    else:
        message = f"its task token had no heartbeat for {found.callback.heartbeat / 1000:g} s"
        _end_call(scope, node, found.name, CallAnswer(error=_error(scope, node, "timeout", message)))


def cannot_take(graph: GraphState, node: int, serial: int) -> str:
    """Why what is said of the token of a call, made in this run, would have no effect now; "" if it would."""
    open = (Mark.READY, Mark.RUNNING, Mark.QUEUED, Mark.RETRYING)
    return "" if graph.marks[node] in open and serial >= graph.visit(node) else "the node has ended"


def take_task(scope: GraphScope, node: int, event: TaskCompleted | TaskFailed) -> str:
    """Take what somebody says of the task token of a call; why that has no effect, or "". Raises `ValuesMissing`."""
    yields = scope.graph.agents.get(node, Yields())
    if event.call in yields.answers:
        return "the call has ended"
    if isinstance(event, TaskFailed):
        answer = CallAnswer(error=event.error)
    elif event.blob is not None:
        answer = CallAnswer(blob=event.blob)
    else:
        answer = _kept(scope, event.output)
    if event.call in yields.open:
        _end_call(scope, node, event.call, answer)
    else:  # its code still runs
        scope.graph.agents[node] = replace(yields, answers={**yields.answers, event.call: answer})
    return ""


def _end_call(scope: GraphScope, node: int, id: str, answer: CallAnswer) -> None:
    """The task token of a call counts no more, and its times do not either."""
    token = scope.graph.agents[node].open[id]
    callback = scope.turn.state.pending[token].callback
    assert callback is not None, "calls of this kind have a token"
    pending.drop(scope, node, token)
    for timer, entry in pending.owned(scope, node):
        if entry.purpose in (Purpose.TIMEOUT, Purpose.HEARTBEAT) and entry.name in (id, callback.task):
            pending.drop(scope, node, timer)
    answered(scope, node, id, answer)


def _call_of(scope: GraphScope, node: int, pending_id: str) -> str:
    return next(id for id, other in scope.graph.agents[node].open.items() if other == pending_id)


def _answer_of(scope: GraphScope, node: int, ended: ChildEnded) -> CallAnswer:
    if ended.status != ExecutionStatus.COMPLETED:
        return CallAnswer(error=children.error_of(scope.path(node), ended))
    return CallAnswer(blob=ended.blob) if ended.blob is not None else _kept(scope, ended.output)


def _kept(scope: GraphScope, value: Json) -> CallAnswer:
    if len(msgspec.json.encode(value)) <= ANSWER_KEPT_BYTES_MAX:
        return CallAnswer(value=value)
    return CallAnswer(blob=f"{scope.turn.store([value])}.0")


def _take(scope: GraphScope, node: int, id: str, answer: CallAnswer) -> None:
    yields = scope.graph.agents[node]
    open = {other: entry for other, entry in yields.open.items() if other != id}
    scope.graph.agents[node] = replace(yields, open=open, answers={**yields.answers, id: answer})


def _go_on_if_all_is_in(scope: GraphScope, node: int) -> None:
    graph = scope.graph
    yields = graph.agents[node]
    if yields.open:
        return
    graph.agents[node] = replace(yields, goes_on=True)
    graph.serials[node] = graph.serial(node) + 1
    graph.begun.pop(node, None)
    make_ready(scope, node)


def _fail(scope: GraphScope, node: int, type: str, message: str) -> None:
    outcome.conclude(scope, node, Failure(_error(scope, node, type, message)))


def _error(scope: GraphScope, node: int, type: str, message: str) -> ErrorDocument:
    return ErrorDocument.of(type, message, scope.path(node))
