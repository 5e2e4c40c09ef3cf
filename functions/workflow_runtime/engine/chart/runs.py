"""Graphs that a chart runs: a state's `run`, and the calls of its actions."""

from __future__ import annotations

from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.events import RunEnded
from workflow_runtime.engine.scope_states import GraphState, initial_graph_state
from workflow_runtime.engine.tables import appended
from workflow_runtime.engine.values.evaluation import error_value
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.chart import Call
from workflow_runtime.plan.states import ROOT_STATE


def begin_run(scope: ChartScope, block: int) -> GraphState:
    """Start a graph; one that still runs is cancelled first."""
    machine = scope.machine
    scope.close_run(block)
    first_serial = machine.next_serials.get(block, machine.first_serial)
    graph = initial_graph_state(scope.plan, block, first_serial)
    scope.scopes.open(scope.run_id(block), graph)
    return graph


def begin_call(scope: ChartScope, block: int, inputs: Json) -> None:
    """Start a block of one node, with inputs that its action has rendered."""
    begin_run(scope, block).given[0] = inputs


def run_ended(scope: ChartScope, block: int, output: Json, error: ErrorDocument | None) -> None:
    """A graph of the chart has ended. It is told when everything that was sent before has been taken, as in SCXML.

    One that failed stays as it is until its state is left, so that it can be told what to do about it.
    """
    if error is None:
        scope.close_run(block)
    else:
        scope.scopes[scope.run_id(block)].close()
    call = next((call for call in scope.chart.calls if call.block == block), None)
    name = _called(scope, block, call)
    state = scope.turn.state
    if error is None:
        if call is not None and call.variable:
            scope.set_variable(call.variable, output)
        state.outbox = appended(state.outbox, RunEnded(scope.id, block, f"done.run.{name}", output))
    elif call is None or call.required:
        told = RunEnded(scope.id, block, f"error.run.{name}", error_value(error))
        state.outbox = appended(state.outbox, told)


def _called(scope: ChartScope, block: int, call: Call | None) -> str:
    """What a graph's events name: its state, or the called node when no state owns the call."""
    plan = scope.plan.blocks[block]
    if call is not None and call.owner == ROOT_STATE:
        return plan.nodes[0].id
    return scope.chart.states[plan.state].name
