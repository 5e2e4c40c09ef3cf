"""Nodes that something goes on in: waits for a time or an event, and charts inside a graph."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine import closing, failure, machine
from workflow_runtime.engine.actions import seconds_of
from workflow_runtime.engine.concurrency import enqueue
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.machine_scope import MachineScope, data_of, of_signal
from workflow_runtime.engine.names import evaluate
from workflow_runtime.engine.recording import record
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import MachineState, Mark, Running
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.expressions import EvaluationError, Scope, render_text
from workflow_runtime.language.expressions.times import time_ms
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.events import matches
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.specs import MachineSpec, WaitSpec

SPECS = (WaitSpec, MachineSpec)


def start(scope: GraphScope, node: int) -> None:
    """Begin such a node. Raises `ValuesMissing`, `EvaluationError`."""
    plan = scope.block.nodes[node]
    if isinstance(plan.spec, WaitSpec):
        _start_wait(scope, node, plan.spec)
        return
    assert isinstance(plan.spec, MachineSpec)
    variables = scope.evaluate(plan.inputs, node) if plan.inputs is not None else {}
    first_serial = scope.graph.next_serials.get(node, scope.graph.first_serial)
    state = MachineState(variables=dict(variables) if isinstance(variables, dict) else {}, first_serial=first_serial)
    scope.graph.machines[node] = state
    chart = scope.turn.machines[plan.spec.chart] = MachineScope(scope.turn, plan.spec.chart, state, scope, node)
    scope.graph.marks[node] = Mark.RUNNING
    _announce_start(scope, node)
    try:
        machine.start(chart)
    except machine.ChartFailed as failed:
        fail_chart(chart, failed.error)


def fail_chart(chart: MachineScope, error: ErrorDocument) -> None:
    """A chart inside a graph fails: so does its node."""
    assert chart.outer is not None
    closing.stop_inside(chart.outer, chart.node)
    failure.decided_node_failed(chart.outer, chart.node, error)


def end_chart(chart: MachineScope, output: Json) -> None:
    """A chart inside a graph reached a final state: its node succeeds. Raises `ValuesMissing`."""
    scope, node = chart.outer, chart.node
    assert scope is not None
    closing.stop_inside(scope, node)
    _succeed(scope, node, output)


def _succeed(scope: GraphScope, node: int, output: Json) -> None:
    """What went on in the node has ended well; its `outputs` may still fail it. Raises `ValuesMissing`."""
    try:
        record(scope, node, output)
    except EvaluationError as error:
        failure.decided_node_failed(scope, node, failure.document(scope, node, error, "outputs: "))


def _start_wait(scope: GraphScope, node: int, spec: WaitSpec) -> None:
    if not spec.event:
        due = _due(scope, node, spec)
        if due <= scope.now:
            record(scope, node, {})
            return
        _run(scope, node, Running(scope.turn.start_timer(due)))
        return
    key = correlation_key(scope.evaluate(spec.key, node)) if spec.key is not None else None
    for place, signal in enumerate(scope.state.kept):
        if _hears(scope, node, spec, signal, key):
            data = data_of(scope.turn, signal)
            del scope.state.kept[place]
            record(scope, node, data)
            return
    timer = ""
    if spec.timeout is not None:
        seconds = _seconds(scope, node, spec.timeout)
        timer = scope.turn.start_timer(scope.now + round(seconds * 1000))
    _run(scope, node, Running(timer, key))


def _run(scope: GraphScope, node: int, running: Running) -> None:
    scope.graph.waits[node] = running
    scope.graph.marks[node] = Mark.RUNNING
    _announce_start(scope, node)


def _announce_start(scope: GraphScope, node: int) -> None:
    if "node" in scope.plan.events:
        scope.turn.publish("node.started", path=scope.path(node), status="running")


def _due(scope: GraphScope, node: int, spec: WaitSpec) -> int:
    if spec.until is not None:
        return time_ms(scope.evaluate(spec.until, node))
    assert spec.seconds is not None
    return scope.now + round(_seconds(scope, node, spec.seconds) * 1000)


def _seconds(scope: GraphScope, node: int, value: float | Formula) -> float:
    return seconds_of(scope.evaluate(value, node)) if isinstance(value, Formula) else parse_duration(value)


def correlation_key(value: Json) -> str | None:
    """A correlation key as text; null and "" are none."""
    return render_text(value, Scope({})) or None if value is not None else None


def offer(scope: GraphScope, signal: SignalReceived) -> bool:
    """Let the first wait of a graph that listens to this event have it. Raises `ValuesMissing`."""
    for node in sorted(scope.graph.waits):
        spec = scope.block.nodes[node].spec
        assert isinstance(spec, WaitSpec)
        if not spec.event or not _hears(scope, node, spec, signal, scope.graph.waits[node].key):
            continue
        data = data_of(scope.turn, signal)
        closing.stop_inside(scope, node)
        _succeed(scope, node, data)
        return True
    return False


def _hears(scope: GraphScope, node: int, spec: WaitSpec, signal: SignalReceived, key: str | None) -> bool:
    """Whether the event is what this wait, with its correlation ``key``, is for. A `match` that fails is false.

    Raises `ValuesMissing`.
    """
    if not matches(spec.event, signal.name) or (signal.key is not None and key is not None and key != signal.key):
        return False
    if spec.match is None:
        return True
    view = replace(scope.view((spec.match,), node), event=of_signal(scope.turn, signal).value)
    try:
        return bool(evaluate(spec.match, view))
    except EvaluationError:
        return False


def timer_fired(scope: GraphScope, node: int) -> None:
    """The time of a wait has come, or its timeout. Raises `ValuesMissing`."""
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, WaitSpec)
    del scope.graph.waits[node]
    if not spec.event or spec.on_timeout == "continue":
        _succeed(scope, node, {})
        return
    error = ErrorDocument.of("timeout", f"`{spec.event}` did not come in time", scope.path(node))
    target = spec.timeout_target
    if spec.on_timeout == "call" and target >= 0 and scope.graph.marks[target] == Mark.WAITING:
        failure.handled_node_failed(scope, node, error)
        scope.graph.open_count += 1
        scope.graph.called[target] = error
        scope.graph.marks[target] = Mark.QUEUED
        enqueue(scope, target)
        return
    failure.decided_node_failed(scope, node, error)
