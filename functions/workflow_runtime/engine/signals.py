"""Events from outside: to whom they go, and what becomes of those that nobody takes (language §2.2, §4)."""

from __future__ import annotations

import hashlib

from workflow_runtime.engine import closing, ending, inside, machine, routing
from workflow_runtime.engine.commands import Unsubscribe
from workflow_runtime.engine.events import SELF, ChildEnded, SendFailed, SignalReceived, TimerFired
from workflow_runtime.engine.machine_scope import MachineScope, of_signal
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.names import error_value
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.events import matches

KEPT_MAX = 1_000  # events that came before their wait; the newest stay (language §2.2)
DEFERRED_MAX = 1_000
APPLIED_MAX = 4_096  # ids of signals taken, to recognise repeats
APPLIED_MS = 24 * 3600 * 1000


def accept_signal(turn: Turn, signal: SignalReceived) -> str:
    """Take an event from outside, once. Returns why it had no effect, or "". Raises `ValuesMissing`."""
    identity = hashlib.sha256(signal.event_id.encode()).hexdigest()[:16]
    applied = turn.state.applied
    if identity in applied:
        return "this event was taken already"
    if signal.key is not None and not routing.listens(turn, signal.name, signal.key):
        turn.commands.append(Unsubscribe(signal.name, signal.key))
        return f"nothing here waits for `{signal.name}` under this key any more"
    _remember(turn, identity)
    turn.state.hops = signal.hops
    return deliver(turn, signal)


def _remember(turn: Turn, identity: str) -> None:
    applied = turn.state.applied
    applied[identity] = turn.now
    while applied:
        oldest, taken_at = next(iter(applied.items()))
        if len(applied) <= APPLIED_MAX and taken_at > turn.now - APPLIED_MS:
            break
        del applied[oldest]


def deliver(turn: Turn, signal: SignalReceived) -> str:
    """Offer an event to the waits and charts that are active, innermost first; the first that takes it has it.

    Raises `ValuesMissing`.
    """
    reasons: dict[MachineScope, str] = {}
    if not signal.to:
        for graph in sorted(turn.graphs.values(), key=lambda graph: -graph.depth):
            if inside.offer(graph, signal):
                return ""
    for chart in turn.innermost_first():
        if signal.to and chart.path != signal.to:
            continue
        reason = offer_to_chart(turn, chart, signal)
        if not reason:
            return ""
        reasons[chart] = reason
    return _untaken(turn, signal, reasons)


def offer_to_chart(turn: Turn, chart: MachineScope, signal: SignalReceived) -> str:
    """Let a chart take an event. Returns why it did not, or "". Raises `ValuesMissing`."""
    try:
        if signal.source == SELF:
            machine.count_unprompted(chart, signal.name)
        return machine.take(chart, of_signal(turn, signal))
    except machine.ChartFailed as failed:
        fail_chart(turn, chart, failed.error)
        return ""


def fail_chart(turn: Turn, chart: MachineScope, error: ErrorDocument) -> None:
    """A chart cannot go on: its node fails, or, at the top, the execution."""
    if chart.outer is not None:
        inside.fail_chart(chart, error)
        return
    closing.close_all(turn)
    ending.fail(turn, error)


def _untaken(turn: Turn, signal: SignalReceived, reasons: dict[MachineScope, str]) -> str:
    """What becomes of an event that nobody took: kept for a wait, deferred, a failure, or ignored with the reason."""
    if not signal.to and any(matches(event, signal.name) for event in turn.plan.waits_by_event):
        kept = turn.state.kept
        kept.append(signal)
        del kept[:-KEPT_MAX]
        return ""
    if not reasons:
        return f"nothing in this execution listens to `{signal.name}` now"
    policies = {chart: chart.chart.on_unhandled_event for chart in reasons}
    chosen = next((chart for chart, policy in policies.items() if policy != "ignore"), next(iter(reasons)))
    reason = reasons[chosen]
    turn.macrosteps.append(_refusal(chosen, signal, turn.now, reason))
    if policies[chosen] == "defer":
        chosen.machine.deferred.append(signal)
        del chosen.machine.deferred[:-DEFERRED_MAX]
        chosen.refused = len(chosen.machine.deferred)
        return ""
    if policies[chosen] == "fail":
        message = f"the event `{signal.name}` was not handled: {reason}"
        fail_chart(turn, chosen, ErrorDocument.of("execution_error", message, chosen.path))
        return ""
    return reason


def _refusal(chart: MachineScope, signal: SignalReceived, now: int, reason: str) -> Macrostep:
    return Macrostep(chart.path, signal.name, now, configuration=chart.leaves, reason=reason)


def first_due(turn: Turn, timer: str) -> str:
    """Of a timer and those that should have fired before it, the one whose turn it is. Ids count up: t1, t2 …"""
    timers = turn.state.timers
    if turn.state.status.terminal or timer not in timers:
        return timer
    return min(timers, key=lambda name: (timers[name], int(name[1:])))


def accept_timer(turn: Turn, event: TimerFired) -> str:
    """A timer fired. Returns why it had no effect, or "". Raises `ValuesMissing`."""
    due = turn.state.timers.pop(event.timer, None)
    if due is None:
        return "the timer was cancelled, or has fired already"
    turn.state.now = max(turn.now, due)
    for graph in list(turn.graphs.values()):
        for node, wait in graph.graph.waits.items():
            if wait.timer == event.timer:
                inside.timer_fired(graph, node)
                return ""
    for chart in turn.machines.values():
        if event.timer in chart.machine.delays:
            machine.delay_over(chart, event.timer)
            return ""
        if event.timer in chart.machine.sends:
            machine.send_over(chart, event.timer)
            return ""
    return "what the timer was for is over"


def accept_send_failure(turn: Turn, event: SendFailed) -> str:
    """What a chart sent has nowhere to go: it is told, if it still runs."""
    for chart in turn.machines.values():
        if chart.path == event.machine:
            data = {"type": "execution_error", "message": event.message, "node": event.machine or None}
            chart.raise_event("error.communication", data)
            return ""
    return "the chart that sent it is over"


def accept_child(turn: Turn, event: ChildEnded) -> str:
    """An execution that an action started has ended: its result comes as an event."""
    for chart in turn.machines.values():
        name = chart.machine.children.pop(event.token, None)
        if name is None:
            continue
        output = event.output if event.blob is None else turn.blob(event.blob)
        data = {
            "execution_id": event.execution_id,
            "status": event.status,
            "output": output,
            "error": error_value(event.error) if event.error is not None else None,
        }
        turn.state.outbox.append(
            SignalReceived(event.event_id, turn.now, name, data, id=event.execution_id, source="child", to=chart.path)
        )
        return ""
    return "nobody waits for this execution's end"
