"""Closing scopes from outside: what runs inside them is cancelled, timers lose their effect, serials are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import OPEN_MARKS, GraphState, MachineState, Mark

if TYPE_CHECKING:
    from workflow_runtime.engine.machine_scope import MachineScope
    from workflow_runtime.engine.turn import Turn


def stop_inside(scope: GraphScope, node: int) -> None:
    """End what runs inside a `RUNNING` node: a wait or a chart. The node itself keeps its mark."""
    wait = scope.graph.waits.pop(node, None)
    if wait is not None and wait.timer:
        scope.turn.cancel_timer(wait.timer)
    machine = scope.graph.machines.pop(node, None)
    if machine is not None:
        chart = scope.block.nodes[node].spec.chart  # type: ignore[union-attr]  # only such nodes have machines
        close_machine(scope.turn.machines[chart])
        scope.graph.next_serials[node] = next_serial_of_machine(machine)


def close_machine(scope: MachineScope) -> None:
    """Cancel everything a chart started; its configuration stays as it is."""
    machine = scope.machine
    for timer in [*machine.delays, *machine.sends]:
        scope.turn.cancel_timer(timer)
    machine.delays.clear()
    machine.sends.clear()
    machine.internal.clear()
    machine.deferred.clear()
    for block in list(machine.runs):
        close_run(scope, block)
    scope.turn.machines.pop(scope.number, None)
    scope.is_over = True


def close_run(scope: MachineScope, block: int) -> None:
    """End a graph that the chart runs: what is open in it is cancelled, and its state forgotten."""
    graph = scope.machine.runs.pop(block)
    close_graph(scope.turn.graphs[block])
    scope.machine.next_serials[block] = next_serial(graph)


def close_all(turn: Turn) -> None:
    """Cancel whatever still runs anywhere in the execution; the configuration at the top stays to be seen."""
    close_graph(turn.graphs[0])
    top = turn.machines.get(0) if turn.plan.has_chart else None
    if top is not None:
        close_machine(top)


def close_graph(scope: GraphScope) -> None:
    """Cancel what is open in a graph."""
    graph = scope.graph
    for node, mark in enumerate(graph.marks if graph.open_count else ()):
        if mark not in OPEN_MARKS:
            continue
        if mark == Mark.READY:
            scope.state.in_flight -= 1
            scope.turn.cancel(scope.path(node), graph.serial(node))
        elif mark == Mark.RUNNING:
            stop_inside(scope, node)
        graph.marks[node] = Mark.SKIPPED if mark == Mark.WAITING else Mark.CANCELLED
        if mark != Mark.WAITING:
            scope.turn.announce(scope.path(node), "cancelled")
    graph.open_count = 0
    graph.queue.clear()
    scope.due.clear()
    scope.ended.clear()
    scope.is_closed = True
    if scope.machine is not None:
        scope.turn.graphs.pop(scope.number, None)


def next_serial(graph: GraphState) -> int:
    """The first serial that no run of this graph, or of what ran inside it, has had."""
    used = [graph.first_serial, *graph.serials.values()]
    inner = [*graph.next_serials.values(), *(next_serial_of_machine(machine) for machine in graph.machines.values())]
    return max([max(used) + 1, *inner])


def next_serial_of_machine(machine: MachineState) -> int:
    """The same for everything that a chart ran."""
    inner = [*machine.next_serials.values(), *(next_serial(graph) for graph in machine.runs.values())]
    return max([machine.first_serial + 1, *inner])
