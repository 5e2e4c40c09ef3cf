"""Waits: nodes that wait for a time or an event."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Pending, Purpose
from workflow_runtime.engine.chart.events import data_of, of_signal
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.graph import outcome
from workflow_runtime.engine.graph.outcome import Result, Yielded
from workflow_runtime.engine.graph.policy import TIMEOUT, Failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import Change
from workflow_runtime.engine.pending import Arrived, Resolution
from workflow_runtime.engine.values.durations import seconds_of
from workflow_runtime.engine.values.evaluation import correlation_key, evaluate
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.expressions.times import time_ms
from workflow_runtime.plan.events import matches
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.specs import WaitSpec


def start(scope: GraphScope, node: int) -> None:
    """Begin a wait; it may be over at once. Raises `ValuesMissing`, `EvaluationError`."""
    spec = _spec(scope, node)
    if not spec.event:
        due = _due(scope, node, spec)
        if due <= scope.turn.now:
            outcome.ended(scope, node, Yielded({}))
            return
        pending.start_timer(scope, node, Purpose.WAIT, due)
        begin(scope, node)
        return
    key = correlation_key(scope.evaluate(spec.key, node)) if spec.key is not None else None
    state = scope.turn.state
    for place, signal in enumerate(state.kept):
        if matches(spec.event, signal.name) and hears(scope, node, signal, key):
            data = data_of(scope.turn, signal)
            state.kept = state.kept[:place] + state.kept[place + 1 :]
            outcome.ended(scope, node, Yielded(data))
            return
    seconds = duration_seconds(scope, node, spec.timeout) if spec.timeout is not None else None
    pending.listen(scope, node, scope.path(node), spec.event, key, spec.correlated)
    if seconds is not None:
        pending.start_timer(scope, node, Purpose.TIMEOUT, scope.turn.now + round(seconds * 1000))
    begin(scope, node)


def begin(scope: GraphScope, node: int) -> None:
    """Something goes on inside the node from now on."""
    scope.change(node, Change.START)
    scope.graph.begun[node] = scope.turn.now
    if "node" in scope.plan.events:
        scope.turn.publish("node.started", path=scope.path(node), status="running")


def resolved(scope: GraphScope, node: int, what: Resolution) -> None:
    """What the wait was for has come, or its time has run out. Raises `ValuesMissing`."""
    spec = _spec(scope, node)
    pending.drop_owned(scope, node)
    result: Result = Yielded(what.data if isinstance(what, Arrived) else {})
    if isinstance(what, Pending) and what.purpose is Purpose.TIMEOUT:
        error = ErrorDocument.of("timeout", f"`{spec.event}` did not come in time", scope.path(node))
        result = Failure(error, own=TIMEOUT, instead={})
    outcome.conclude(scope, node, result)


def _spec(scope: GraphScope, node: int) -> WaitSpec:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, WaitSpec)
    return spec


def _due(scope: GraphScope, node: int, spec: WaitSpec) -> int:
    if spec.until is not None:
        return time_ms(scope.evaluate(spec.until, node))
    assert spec.seconds is not None
    return scope.turn.now + round(duration_seconds(scope, node, spec.seconds) * 1000)


def duration_seconds(scope: GraphScope, node: int, value: float | Formula) -> float:
    """What a field says that is a duration or computes one. Raises `ValuesMissing`, `EvaluationError`."""
    return seconds_of(scope.evaluate(value, node)) if isinstance(value, Formula) else parse_duration(value)


def hears(scope: GraphScope, node: int, signal: SignalReceived, key: str | None) -> bool:
    """Whether an event of its name is what this wait, with its correlation ``key``, is for. A `match` that fails is
    false. Raises `ValuesMissing`.
    """
    spec = _spec(scope, node)
    if not _comes_here(scope, spec, signal, key):
        return False
    if spec.match is None:
        return True
    view = replace(scope.view((spec.match,), node), event=of_signal(scope.turn, signal).value)
    try:
        return bool(evaluate(spec.match, view))
    except EvaluationError as error:
        scope.note(node, f"match: {error}")
        return False


def _comes_here(scope: GraphScope, spec: WaitSpec, signal: SignalReceived, key: str | None) -> bool:
    """Whether the way that an event came leads to this wait. One that was sent by id may be taken by any. By a route,
    it is for those waits that asked for it themselves or, if it is the workflow's, for those that asked for none.
    """
    if signal.key is None:
        return True
    if spec.correlated < 0:
        return scope.plan.routes.get(signal.route, -1) not in scope.plan.correlated_routes
    own = scope.plan.route_digests[spec.correlated]
    return key == signal.key and signal.route in ("", own)
