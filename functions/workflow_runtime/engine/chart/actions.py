"""Actions of charts: what entering, leaving and transitions do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Purpose, Sent
from workflow_runtime.engine.chart.runs import begin_call
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import Log, PublishEvent, SendSignal, StartChild
from workflow_runtime.engine.events import SELF, SignalReceived
from workflow_runtime.engine.tables import appended
from workflow_runtime.engine.values.durations import seconds_of
from workflow_runtime.engine.values.evaluation import NO_LOCALS
from workflow_runtime.language.expressions import EvaluationError, Scope, render_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.texts import cut
from workflow_runtime.plan.actions import (
    Action,
    CallAction,
    CancelSendAction,
    ForEachAction,
    IfAction,
    LogAction,
    PublishAction,
    RaiseAction,
    SendAction,
    SetVariableAction,
    StartWorkflowAction,
)
from workflow_runtime.plan.addresses import static_path
from workflow_runtime.plan.events import PAYLOAD_BYTES_MAX, TOPIC_CHARACTERS_MAX
from workflow_runtime.plan.formulas import Formula

LOGGED_CHARS_MAX = 32_000  # of a `log` action: nobody reads more, CloudWatch splits longer lines, commits stay small

Locals = Mapping[str, Json]


class Undeliverable(Exception):
    """A `send` has nowhere to go."""


def perform(scope: ChartScope, actions: tuple[Action, ...], done: list[str], locals: Locals = NO_LOCALS) -> None:
    """Take a block of actions in order, noting in ``done`` what was done. An action that fails ends the block.

    Raises `ValuesMissing` only: failures become internal events of the chart.
    """
    for action in actions:
        try:
            _perform(scope, action, done, locals)
        except (EvaluationError, Undeliverable) as error:
            what = f"{_name(action)}: {error}"
            if not action.required:
                scope.note_failure(what)
                continue
            scope.fail(what, kind="error.communication" if isinstance(error, Undeliverable) else "error.execution")
            return


def _perform(scope: ChartScope, action: Action, done: list[str], locals: Locals) -> None:
    _ACTIONS[type(action)](scope, action, done, locals)
    done.append(_name(action))


def _name(action: Action) -> str:
    return str(action.__struct_config__.tag)


def _text(scope: ChartScope, formula: Formula, locals: Locals) -> str:
    return render_text(scope.evaluate(formula, locals), Scope({}))


def _event(scope: ChartScope, formula: Formula, locals: Locals) -> str:
    """The name of an event; names that look the same are the same."""
    return normalized(_text(scope, formula, locals))


def _value(scope: ChartScope, formula: Formula | None, locals: Locals) -> Json:
    return scope.evaluate(formula, locals) if formula is not None else None


def _log(scope: ChartScope, action: LogAction, _: list[str], locals: Locals) -> None:
    message = cut(_text(scope, action.message, locals), LOGGED_CHARS_MAX)
    scope.turn.commands.append(Log(message, action.level))


def _publish(scope: ChartScope, action: PublishAction, _: list[str], locals: Locals) -> None:
    payload = _value(scope, action.payload, locals)
    detail = payload if isinstance(payload, dict) else {} if payload is None else {"data": payload}
    topic = _text(scope, action.topic, locals)
    if not 0 < len(topic) <= TOPIC_CHARACTERS_MAX:
        raise EvaluationError(f"a topic has 1 to {TOPIC_CHARACTERS_MAX} characters, this one {len(topic)}")
    size = len(msgspec.json.encode(detail))
    if size > PAYLOAD_BYTES_MAX:
        raise EvaluationError(f"the payload has {size:,} bytes; an event takes {PAYLOAD_BYTES_MAX:,}")
    hops = scope.turn.state.hops + 1
    scope.turn.commands.append(PublishEvent(topic, detail, custom=True, hops=hops, machine=scope.path))


def _set(scope: ChartScope, action: SetVariableAction, _: list[str], locals: Locals) -> None:
    scope.set_variable(action.name, scope.evaluate(action.value, locals))


def _raise(scope: ChartScope, action: RaiseAction, _: list[str], locals: Locals) -> None:
    data = _value(scope, action.data, locals)
    scope.raise_event(_event(scope, action.event, locals), data, runtime=False)


def _send(scope: ChartScope, action: SendAction, _: list[str], locals: Locals) -> None:
    sent = Sent(
        _event(scope, action.event, locals),
        _text(scope, action.id, locals) if action.id is not None else "",
        _value(scope, action.data, locals),
        _text(scope, action.to, locals) if action.to is not None else "",
        _text(scope, action.correlate, locals) if action.correlate is not None else None,
    )
    delay = seconds_of(scope.evaluate(action.delay, locals)) if action.delay is not None else 0
    if delay <= 0:
        send(scope, sent)
        return
    pending.start_timer(scope, -1, Purpose.SEND, scope.turn.now + round(delay * 1000), sent=sent)


def send(scope: ChartScope, sent: Sent) -> None:
    """Send an event now. Raises `Undeliverable`."""
    turn = scope.turn
    state = turn.state
    to, number = sent.to, turn.next_number()
    identity = f"{state.execution_id}:{number}"
    if to == "parent":
        if state.parent is None:
            raise Undeliverable("this execution has no parent")
        to = state.parent.execution_id
    is_chart = static_path(to) in turn.plan.chart_numbers
    if sent.key is None and (is_chart or to in ("", state.execution_id)):
        signal = SignalReceived(
            f"signal:{identity}", turn.now, sent.name, sent.data, id=identity, source=SELF, to=to if is_chart else ""
        )
        state.outbox = appended(state.outbox, signal)
        return
    turn.commands.append(
        SendSignal(sent.name, identity, sent.data, to, sent.key, hops=state.hops + 1, machine=scope.path)
    )


def _cancel_send(scope: ChartScope, action: CancelSendAction, _: list[str], locals: Locals) -> None:
    identity = _text(scope, action.id, locals)
    for timer, entry in pending.owned(scope, -1):
        if entry.sent is not None and entry.sent.id == identity:
            pending.drop(scope, -1, timer)


def _if(scope: ChartScope, action: IfAction, done: list[str], locals: Locals) -> None:
    chosen = action.then if scope.evaluate(action.condition, locals) else action.otherwise
    for inner in chosen:
        _inner(scope, inner, done, locals)


def _for_each(scope: ChartScope, action: ForEachAction, done: list[str], locals: Locals) -> None:
    items = scope.evaluate(action.items, locals)
    if items is None:
        return
    if not isinstance(items, list):
        raise EvaluationError("`items` is not a list")
    for place, item in enumerate(items):
        inner_locals = {**locals, action.name: item, action.index: place}
        for inner in action.do:
            _inner(scope, inner, done, inner_locals)


def _inner(scope: ChartScope, action: Action, done: list[str], locals: Locals) -> None:
    """An action inside another: one that may fail is left out, else the outer one fails with it."""
    try:
        _perform(scope, action, done, locals)
    except (EvaluationError, Undeliverable) as error:
        if action.required:
            raise
        scope.note_failure(f"{_name(action)}: {error}")


def _start_workflow(scope: ChartScope, action: StartWorkflowAction, _: list[str], locals: Locals) -> None:
    token = f"c{scope.turn.next_number()}"
    workflow_id = _text(scope, action.workflow_id, locals)
    data = _value(scope, action.input, locals) if action.input is not None else {}
    if action.result_event:
        pending.await_child(scope, token, action.result_event, workflow_id)
    scope.turn.commands.append(
        StartChild(
            token, workflow_id, data, notify=bool(action.result_event), hops=scope.turn.state.hops, machine=scope.path
        )
    )


def _call(scope: ChartScope, action: CallAction, _: list[str], locals: Locals) -> None:
    inputs = _value(scope, action.inputs, locals) if action.inputs is not None else {}
    begin_call(scope, scope.chart.calls[action.call].block, inputs if isinstance(inputs, dict) else {})


_ACTIONS: dict[type, Callable[[ChartScope, Any, list[str], Locals], None]] = {
    LogAction: _log,
    PublishAction: _publish,
    SetVariableAction: _set,
    RaiseAction: _raise,
    SendAction: _send,
    CancelSendAction: _cancel_send,
    IfAction: _if,
    ForEachAction: _for_each,
    StartWorkflowAction: _start_workflow,
    CallAction: _call,
}
