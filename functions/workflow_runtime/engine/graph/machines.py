"""Charts inside nodes."""

from __future__ import annotations

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Pending, Purpose
from workflow_runtime.engine.chart import interpreter
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.graph import outcome
from workflow_runtime.engine.graph.outcome import Yielded
from workflow_runtime.engine.graph.policy import Failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.waits import begin
from workflow_runtime.engine.pending import Ended, Resolution
from workflow_runtime.engine.scope_states import ChartState
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.look_alikes import with_normalized_keys
from workflow_runtime.plan.specs import MachineSpec


def start(scope: GraphScope, node: int) -> None:
    """Enter the chart's initial states. Raises `ValuesMissing`, `EvaluationError`."""
    plan = scope.block.nodes[node]
    assert isinstance(plan.spec, MachineSpec)
    variables = scope.evaluate(plan.inputs, node) if plan.inputs is not None else {}
    state = ChartState(
        plan.spec.chart,
        variables=dict(with_normalized_keys(variables)) if isinstance(variables, dict) else {},
        first_serial=scope.graph.next_serials.get(node, scope.graph.first_serial),
    )
    chart = scope.scopes.open(scope.path(node), state)
    assert isinstance(chart, ChartScope)
    begin(scope, node)
    if plan.timeout_seconds is not None:
        pending.start_timer(scope, node, Purpose.TIMEOUT, scope.turn.now + round(plan.timeout_seconds * 1000))
    try:
        interpreter.start(chart)
    except interpreter.ChartFailed as failed:
        resolved(scope, node, Ended(error=failed.error))


def resolved(scope: GraphScope, node: int, what: Resolution) -> None:
    """The chart reached a final state, failed or timed out, and the node ends the same way. Raises
    `ValuesMissing`."""
    scope.stop(node)
    if isinstance(what, Pending):
        seconds = scope.block.nodes[node].timeout_seconds or 0
        what = Ended(error=ErrorDocument.of("timeout", f"it has not ended within {seconds:g} s", scope.path(node)))
    assert isinstance(what, Ended)
    outcome.conclude(scope, node, Failure(what.error) if what.error is not None else Yielded(what.output))
