"""Graphs that a chart runs: a state's `run`, and the calls of its actions."""

from __future__ import annotations

from workflow_runtime.engine import closing
from workflow_runtime.engine.ending import graph_output, skip_uncalled
from workflow_runtime.engine.machine_scope import MachineScope
from workflow_runtime.engine.names import error_value
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import initial_graph_state
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.chart import Call
from workflow_runtime.plan.states import ROOT_STATE


def begin_run(scope: MachineScope, block: int) -> GraphScope:
    """Start a graph; one that still runs is cancelled first."""
    machine = scope.machine
    if block in machine.runs:
        closing.close_run(scope, block)
    first_serial = machine.next_serials.get(block, machine.first_serial)
    graph = machine.runs[block] = initial_graph_state(scope.turn.plan.blocks[block], first_serial)
    run = scope.turn.graphs[block] = GraphScope(scope.turn, block, graph, scope)
    run.start()
    return run


def begin_call(scope: MachineScope, block: int, inputs: Json) -> None:
    """Start a block of one node, with inputs that its action has rendered."""
    begin_run(scope, block).graph.given[0] = inputs


def end_run_if_done(run: GraphScope) -> bool:
    """Once every node of a chart's graph has ended: tell the chart. Raises `ValuesMissing`."""
    scope = run.machine
    if scope is None or run.is_closed or run.graph.open_count:
        return False
    skip_uncalled(run)
    error = run.graph.failure
    output: Json = None
    if error is None:
        try:
            output = graph_output(run)
        except NodeError as failed:
            error = ErrorDocument.of(failed.type, failed.message, run.block.prefix.rstrip("/"))
    closing.close_run(scope, run.number)
    call = next((call for call in scope.chart.calls if call.block == run.number), None)
    name = _called(scope, run, call)
    if error is not None:
        if call is None or call.required:
            scope.raise_event(f"error.run.{name}", error_value(error))
    else:
        if call is not None and call.variable:
            scope.machine.variables[call.variable] = output
        scope.raise_event(f"done.run.{name}", output)
    return True


def _called(scope: MachineScope, run: GraphScope, call: Call | None) -> str:
    """What a graph's events name: its state, or the called node when no state owns the call."""
    if call is not None and call.owner == ROOT_STATE:
        return run.block.nodes[0].id
    return scope.chart.states[run.block.state].name
