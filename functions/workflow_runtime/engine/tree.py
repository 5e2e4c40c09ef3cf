"""The tree of scopes: brings the live ones to work, and goes on until nothing more follows from what is known."""

from __future__ import annotations

from workflow_runtime.engine import closing, ending, graph, inside, machine, signals
from workflow_runtime.engine.machine_scope import MachineScope
from workflow_runtime.engine.runs import end_run_if_done
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import GraphState, MachineState
from workflow_runtime.engine.turn import Turn, ValuesMissing
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.specs import MachineSpec

OUTBOX_TURN_MAX = 100  # events that an execution sends itself, taken in one turn; the rest waits for the next


def load(turn: Turn) -> None:
    """Make the working sets of all live scopes."""
    _load_graph(turn, 0, turn.state.root, None)
    if turn.plan.has_chart and turn.state.machine is not None:
        _load_machine(turn, 0, turn.state.machine, None, -1)


def _load_graph(turn: Turn, number: int, state: GraphState, holder: MachineScope | None) -> None:
    scope = turn.graphs[number] = GraphScope(turn, number, state, holder)
    for node, nested in state.machines.items():
        spec = scope.block.nodes[node].spec
        assert isinstance(spec, MachineSpec)
        _load_machine(turn, spec.chart, nested, scope, node)


def _load_machine(turn: Turn, number: int, state: MachineState, outer: GraphScope | None, node: int) -> None:
    scope = turn.machines[number] = MachineScope(turn, number, state, outer, node)
    for block, run in state.runs.items():
        _load_graph(turn, block, run, scope)


def start(turn: Turn) -> None:
    """Begin the execution: the chart at the top, whose variables the graph may read, then the graph.

    Raises `ValuesMissing`.
    """
    if turn.plan.has_chart:
        known = turn.need_globals()
        data = known["input"] if isinstance(known["input"], dict) else {}
        state = turn.state.machine = MachineState(variables={**data, **known["variables"]})
        scope = turn.machines[0] = MachineScope(turn, 0, state, None, -1)
        try:
            machine.start(scope)
        except machine.ChartFailed as failed:
            signals.fail_chart(turn, scope, failed.error)
            return
    turn.graphs[0].start()


def settle(turn: Turn) -> None:
    """Go on until nothing more follows. Stops early when the turn must be taken again with more values."""
    sent = 0
    try:
        while not turn.state.status.terminal:
            moved = _settle_graphs(turn)
            moved = _settle_charts(turn) or moved
            if turn.needs is not None or moved:
                if turn.needs is not None:
                    return
                continue
            if not turn.state.outbox or sent >= OUTBOX_TURN_MAX:
                return
            sent += 1
            signals.deliver(turn, turn.state.outbox.pop(0))
    except ValuesMissing:
        return


def _settle_graphs(turn: Turn) -> bool:
    """Let every graph go on, and end those that are done. Charts that start in them bring more graphs."""
    moved = False
    in_flight = turn.state.in_flight
    graphs = list(turn.graphs.values())
    for scope in graphs:
        if scope.is_closed:
            continue
        graph.settle(scope)
        if turn.needs is not None:
            return False
        moved = end_run_if_done(scope) or moved
    ending.end_root_if_done(turn)
    freed = turn.state.in_flight < in_flight  # for a scope that has had its turn
    moved = moved or list(turn.graphs.values()) != graphs
    return moved or (freed and any(scope.graph.queue for scope in turn.graphs.values()))


def _settle_charts(turn: Turn) -> bool:
    """Let every chart take what was raised, then what it deferred, and end those in a final state."""
    moved = False
    for scope in list(turn.innermost_first()):
        if turn.state.status.terminal or scope.number not in turn.machines:
            continue
        try:
            while machine.take_raised(scope):
                moved = True
        except machine.ChartFailed as failed:
            signals.fail_chart(turn, scope, failed.error)
            return True
        if scope.is_over:
            _end_chart(turn, scope)
            return True
        moved = _offer_deferred(turn, scope) or moved
    return moved


def _offer_deferred(turn: Turn, scope: MachineScope) -> bool:
    """Once the configuration is another, deferred events are offered again, in the order they came. True when one was
    taken; what it caused comes before the others.
    """
    deferred = scope.machine.deferred
    if scope.machine.configuration != scope.offered:
        scope.offered = scope.machine.configuration[:]
        scope.refused = 0
    while scope.refused < len(deferred):
        signal = deferred.pop(scope.refused)
        if not signals.offer_to_chart(turn, scope, signal):
            return True
        deferred.insert(scope.refused, signal)
        scope.refused += 1
    return False


def _end_chart(turn: Turn, scope: MachineScope) -> None:
    """A chart reached a final state. Raises `ValuesMissing`."""
    try:
        output = _output(scope)
        if scope.outer is None:
            ending.check_output(turn.plan, output)
    except NodeError as error:
        signals.fail_chart(turn, scope, ErrorDocument.of(error.type, error.message, scope.path))
        return
    if scope.outer is not None:
        inside.end_chart(scope, output)
        return
    closing.close_all(turn)
    ending.complete(turn, output)


def _output(scope: MachineScope) -> Json:
    formula, variables = scope.chart.outputs, scope.machine.variables
    try:
        return scope.evaluate(formula, {"output": variables}) if formula is not None else dict(variables)
    except EvaluationError as error:
        raise NodeError("execution_error", f"outputs: {error}") from error
