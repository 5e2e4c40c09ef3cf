"""Settling: from what has changed, on until nothing more follows from what is known. Only marked scopes are visited."""

from __future__ import annotations

from itertools import islice

from workflow_runtime.engine import arrivals, compensation, ending, pending
from workflow_runtime.engine.awaited import Purpose
from workflow_runtime.engine.chart import interpreter
from workflow_runtime.engine.chart.runs import run_ended
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.commands import SetStatus
from workflow_runtime.engine.events import RunEnded
from workflow_runtime.engine.graph import loops, readiness
from workflow_runtime.engine.graph.concurrency import places_taken
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.graph.outputs import graph_output, skip_uncalled
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import AT_REST, COMPENSATING, SUSPENDED, ExecutionStatus
from workflow_runtime.engine.passes import LoopState
from workflow_runtime.engine.pending import Ended
from workflow_runtime.engine.scope_states import ChartState, GraphState, ScopeState
from workflow_runtime.engine.scopes import Maker, Scopes
from workflow_runtime.engine.turn import COMMANDS_MAX, Turn, ValuesMissing
from workflow_runtime.engine.values.outputs import check_output
from workflow_runtime.engine.visits import NOTHING_TO_UNDO
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH

_MAKERS: dict[type[ScopeState], Maker] = {
    GraphState: GraphScope.of,
    ChartState: ChartScope.of,
    LoopState: LoopScope.of,
}

OUTBOX_TURN_MAX = 100  # events that an execution sends itself, taken in one turn; the rest waits for the next


def scopes_of(turn: Turn) -> Scopes:
    """The scopes of a turn that begins."""
    return Scopes(turn, _MAKERS)


def begin(scopes: Scopes, since: int) -> None:
    """Begin the execution; its timeout runs ``since`` then (epoch ms). Raises `ValuesMissing`."""
    turn = scopes.turn
    turn.state.status = ExecutionStatus.RUNNING
    turn.commands.append(SetStatus(ExecutionStatus.RUNNING, turn.now))
    if "execution" in turn.plan.events:
        turn.publish("execution.started", status="running", started_at=turn.state.started_at)
    start_deadline(scopes, since)
    start(scopes)


def start(scopes: Scopes) -> None:
    """Start the chart at the top, whose variables the graph may read, then the graph. Raises `ValuesMissing`."""
    turn = scopes.turn
    if turn.state.part:
        scopes.mark(scopes[turn.state.part])
        return
    if turn.plan.has_chart:
        known = turn.need_globals()
        data = known["input"] if isinstance(known["input"], dict) else {}
        chart = scopes.open(TOP_CHART, ChartState(variables={**data, **known["variables"]}))
        assert isinstance(chart, ChartScope)
        try:
            interpreter.start(chart)
        except interpreter.ChartFailed as failed:
            arrivals.chart_ended(chart, Ended(error=failed.error))
            return
    scopes.root.begin()


def start_deadline(scopes: Scopes, since: int) -> None:
    """Count the time that the execution may take from here (epoch ms), if it is bounded."""
    seconds = scopes.turn.plan.timeout_seconds
    if seconds is not None:
        pending.start_timer(scopes.root, -1, Purpose.DEADLINE, since + round(seconds * 1000))


def settle(scopes: Scopes) -> None:
    """Go on until nothing more follows. Stops early when the turn must be taken again with more values.

    Graphs come first, then charts, then what the execution sent itself, one event at a time: so whatever is possible at
    once has happened when the next event is looked at. It ends, because every round takes marks, raised events or sent
    events away, and what brings them back is bounded: nodes end once in a visit, a chart's macrosteps are counted
    (`MICROSTEPS_MAX`, `UNPROMPTED_MAX`), only so many sent events are taken in a turn, and each visit is undone once.
    """
    turn, state, sent = scopes.turn, scopes.turn.state, 0
    if state.queued:
        _wake_queued(scopes)
    try:
        while state.status not in AT_REST:
            if scopes.marked:
                _settle_graphs(scopes)
                if scopes.marked and turn.plan.has_loops and state.status not in AT_REST:
                    _settle_loops(scopes)
                if scopes.marked and state.status not in AT_REST:
                    _settle_charts(scopes)
                if state.queued:
                    _wake_queued(scopes)
                if state.crowded:
                    loops.wake_crowded(scopes)
            elif state.outbox and sent < OUTBOX_TURN_MAX:
                sent += 1
                _take_sent(scopes)
            elif state.status is not COMPENSATING or not ending.compensate_on(scopes):
                return
    except ValuesMissing:
        return


def _wake_queued(scopes: Scopes) -> None:
    """Let scopes whose nodes wait for a free place look again, while there is one.

    What a graph still has in its queue after it was settled had no room in this commit, or found the execution's
    `max_concurrency` reached: so a scope that is woken takes a place at least, and no more are than there are places.
    """
    turn = scopes.turn
    if not turn.has_room:
        return
    limit = turn.plan.max_concurrency
    if not turn.state.cut_short and limit and places_taken(turn.state) >= limit:
        return
    room = COMMANDS_MAX - len(turn.commands)
    if limit and not turn.state.cut_short:
        room = min(room, limit - places_taken(turn.state))
    turn.state.cut_short = False
    for id in [*islice(turn.state.queued, room)]:
        scopes.mark(scopes[id])


def _settle_graphs(scopes: Scopes) -> None:
    """Let the marked graphs go on, and end those that are done. Raises `ValuesMissing`."""
    turn, state = scopes.turn, scopes.turn.state
    for scope in scopes.take_marked(GraphScope):
        if scope.is_closed:
            continue
        readiness.settle(scope)
        if turn.missing is not None:
            raise ValuesMissing
        if state.status is SUSPENDED:
            return
        if state.undo is not NOTHING_TO_UNDO and state.undo.are_more_than(compensation.UNDO_MAX):
            ending.fail_if_too_much_to_undo(scopes)
        if state.part and scope.id == state.part.rpartition("/")[0]:
            ending.end_part_if_done(scope)
        elif scope.id == TOP_GRAPH:
            ending.end_root_if_done(scope)
        elif scope.graph.undoes >= 0:
            if not scope.graph.open_count:
                compensation.undone(scope)
        elif not scope.is_closed and not scope.graph.open_count:
            if scope.block.loop >= 0:
                loops.pass_ended(scope)
            else:
                _end_run(scope)


def _end_run(scope: GraphScope) -> None:
    """Every node of a chart's graph has ended: tell the chart."""
    chart = scope.outer
    assert isinstance(chart, ChartScope), "other graphs are run by charts"
    skip_uncalled(scope)
    error, output = scope.graph.failure, None
    if error is None:
        try:
            output = graph_output(scope)
        except NodeError as failed:
            error = ErrorDocument.of(failed.type, failed.message, scope.prefix.rstrip("/"))
    run_ended(chart, scope.graph.block, output, error)


def _settle_loops(scopes: Scopes) -> None:
    """Let the marked loops go on. Raises `ValuesMissing`."""
    for loop in scopes.take_marked(LoopScope):
        loops.settle(loop)
        if scopes.turn.missing is not None:
            raise ValuesMissing
        if scopes.turn.state.status is SUSPENDED:
            return


def _settle_charts(scopes: Scopes) -> None:
    """Let the marked charts take what was raised, then what they deferred, and end those in a final state: inner ones
    first, and no other before what the end of one brings about. Raises `ValuesMissing`."""
    charts = sorted(scopes.take_marked(ChartScope), key=lambda scope: -scope.depth)
    for place, scope in enumerate(charts):
        if scope.is_closed or not _settle_chart(scope):
            continue
        for other in charts[place + 1 :]:
            scopes.mark(other)
        return


def _settle_chart(scope: ChartScope) -> bool:
    """True when the chart has ended."""
    try:
        while interpreter.take_raised(scope):
            pass
    except interpreter.ChartFailed as failed:
        arrivals.chart_ended(scope, Ended(error=failed.error))
        return True
    if scope.is_over:
        arrivals.chart_ended(scope, _end_of(scope))
        return True
    _offer_deferred(scope)
    return False


def _offer_deferred(scope: ChartScope) -> None:
    """Once the configuration is another, deferred events are offered again, in the order they came, until one is taken;
    what it causes comes before the others.
    """
    deferred = scope.machine.deferred
    if scope.machine.configuration != scope.offered:
        scope.offered = scope.machine.configuration[:]
        scope.refused = 0
    while scope.refused < len(deferred):
        signal = deferred.pop(scope.refused)
        if not arrivals.offer_to_chart(scope, signal):
            scope.scopes.mark(scope)
            return
        deferred.insert(scope.refused, signal)
        scope.refused += 1


def _end_of(scope: ChartScope) -> Ended:
    """How a chart in a final state ends. Raises `ValuesMissing`."""
    formula, variables = scope.chart.outputs, scope.machine.variables
    try:
        output: Json = scope.evaluate(formula, {"output": variables}) if formula is not None else dict(variables)
        if scope.id == TOP_CHART:
            check_output(scope.plan, output)
    except EvaluationError as error:
        return Ended(error=ErrorDocument.of("execution_error", f"outputs: {error}", scope.path))
    except NodeError as error:
        return Ended(error=ErrorDocument.of(error.type, error.message, scope.path))
    return Ended(output)


def _take_sent(scopes: Scopes) -> None:
    """Take the next event that the execution sent itself. Raises `ValuesMissing`."""
    sent = scopes.turn.state.outbox.pop(0)
    if isinstance(sent, RunEnded):
        arrivals.tell_end(scopes, sent)
    else:
        arrivals.deliver(scopes, sent)
