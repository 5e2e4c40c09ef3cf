"""Loops: nodes that repeat a graph, in passes that are scopes of their own.

A loop begins passes while there is room, up to its ``max_concurrency`` and, over all loops, what a state can carry.
A pass that ends leaves two bits behind. Once none is open and none is left, the output is put together of what the
runs of the passes are recorded with (`collecting`); only passes that read each other are collected one by one.
"""

from __future__ import annotations

from itertools import islice

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Pending, Purpose
from workflow_runtime.engine.graph import collecting, outcome, parts, retries, work
from workflow_runtime.engine.graph.loop_items import counted, first_serial, stored
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.graph.outcome import Yielded
from workflow_runtime.engine.graph.outputs import graph_output, skip_uncalled
from workflow_runtime.engine.graph.policy import Failure, pass_retry
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.waits import begin
from workflow_runtime.engine.lifecycle import Change, Mark
from workflow_runtime.engine.passes import Items, LoopState, PassEnd, Passes
from workflow_runtime.engine.pending import Resolution
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.tables import entered
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import pass_of
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.specs import LoopSpec

OPEN_PASSES_MAX = 1_000  # of one execution: each is a scope in its state meanwhile

# ---- the node


def start(scope: GraphScope, node: int) -> None:
    """Begin a loop, or go on with one that has failed. Raises `ValuesMissing`, `EvaluationError`, `NodeError`."""
    spec = _spec(scope, node)
    kept = scope.scopes.get(scope.path(node))
    if isinstance(kept, LoopScope):
        _go_on(kept)
    elif spec.reads_file:
        assert spec.items is not None, "that is what is read"
        parts.check_depth(scope.turn.state)
        file = scope.evaluate(spec.items, node)
        begin(scope, node)
        work.order_items(scope, node, file)
        return
    else:
        passes, items = counted(scope, node, spec)
        if not passes.count:
            outcome.ended(scope, node, Yielded([]))
            return
        _open(scope, node, passes, stored(scope, items))
    begin(scope, node)
    _limit_time(scope, node)


def awaits_items(scope: GraphScope, node: int) -> bool:
    """Whether what a worker does for the node is to read what it is going to loop over."""
    spec = scope.block.nodes[node].spec
    return type(spec) is LoopSpec and spec.reads_file and scope.path(node) not in scope.scopes


def items_read(scope: GraphScope, node: int, found: Json) -> None:
    """A worker has read the items of a loop and stored them: how many (``count``), and where (``key``, so many in each
    page). What the node does from now on is another visit than the worker's run. Raises `ValuesMissing`."""
    scope.turn.state.in_flight -= 1
    scope.change(node, Change.START)
    retries.begin_visit(scope, node)
    if not found["count"]:
        outcome.conclude(scope, node, Yielded([]))
        return
    passes = Passes(found["count"], first_serial=first_serial(scope, node))
    _open(scope, node, passes, Items(None, found["key"], found["page_size"]))
    _limit_time(scope, node)


def _open(scope: GraphScope, node: int, passes: Passes, items: Items | None) -> None:
    """Raises `NodeError`."""
    loop = LoopState(scope.block.first + node, passes, items=items)
    loop.parts = parts.planned(scope.turn.state, _spec(scope, node), passes.count)
    scope.scopes.open(scope.path(node), loop)


def _limit_time(scope: GraphScope, node: int) -> None:
    """Have the time of the loop run out, counted from when it began."""
    seconds = scope.block.nodes[node].timeout_seconds
    if seconds is not None:
        pending.start_timer(scope, node, Purpose.TIMEOUT, scope.graph.begun[node] + round(seconds * 1000))


def resolved(scope: GraphScope, node: int, what: Resolution) -> None:
    """The time of the loop has run out. Raises `ValuesMissing`."""
    assert isinstance(what, Pending), "nothing else is waited for"
    loop = scope.scopes[scope.path(node)]
    assert isinstance(loop, LoopScope)
    seconds = scope.block.nodes[node].timeout_seconds or 0
    _fail(loop, ErrorDocument.of("timeout", f"it has not ended within {seconds:g} s", scope.path(node)))


def _spec(scope: GraphScope, node: int) -> LoopSpec:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, LoopSpec)
    return spec


# ---- passes


def settle(loop: LoopScope) -> None:
    """Begin passes as long as there is room, or end the loop. Raises `ValuesMissing`.

    One that has failed or was cancelled, and is only remembered, stands still; so does one whose output a worker puts
    together.
    """
    loop.scopes.unmark(loop)
    loop.turn.state.queued.pop(loop.id, None)
    if loop.is_closed or loop.around_it.graph.marks[loop.node] != Mark.RUNNING:
        return
    if loop.loop.failure is not None:
        _fail(loop, loop.loop.failure)
        return
    if loop.loop.parts is not None:
        parts.settle(loop)
        return
    while (index := _next(loop)) is not None:
        if not _has_room(loop):
            return
        _begin_pass(loop, index)
    if not loop.loop.open_count:
        _complete(loop)


def _next(loop: LoopScope) -> int | None:
    """The pass to begin now, if there is one. Raises `ValuesMissing`."""
    if loop.loop.again:
        return loop.loop.again[0]
    passes = loop.loop.passes
    if loop.loop.is_over or passes.begun == passes.count:
        return None
    if not passes.begun and loop.spec.condition is not None and not _holds(loop, loop.spec.condition, None):
        loop.loop.is_over = True
        return None
    return passes.begun


def _has_room(loop: LoopScope) -> bool:
    """Whether another pass may begin now. A loop whose passes wait for those of others has one at least: so loops
    inside loops never wait for each other."""
    state, open_count = loop.turn.state, loop.loop.open_count
    portion = loop.loop.portion
    limit = portion.max_concurrency if portion is not None else loop.spec.max_concurrency
    if open_count >= (limit or OPEN_PASSES_MAX):
        return False
    if not loop.turn.has_room:
        state.queued = entered(state.queued, loop.id, True)
    elif open_count and state.open_passes >= OPEN_PASSES_MAX:
        state.crowded = entered(state.crowded, loop.id, True)
    else:
        return True
    return False


def wake_crowded(scopes: Scopes) -> None:
    """Let loops look again that wait for passes of others to end, as many as have."""
    state = scopes.turn.state
    for id in [*islice(state.crowded, max(OPEN_PASSES_MAX - state.open_passes, 0))]:
        del state.crowded[id]
        scopes.mark(scopes[id])


def _begin_pass(loop: LoopScope, index: int) -> None:
    if loop.loop.again:
        loop.loop.again.pop(0)
    else:
        loop.loop.passes.begun += 1
    loop.loop.open_count += 1
    loop.turn.state.open_passes += 1
    loop.scopes.open(loop.pass_id(index), loop.pass_state(index))


def pass_ended(scope: GraphScope) -> None:
    """Every node of a pass has ended. Raises `ValuesMissing`."""
    loop = scope.outer
    assert isinstance(loop, LoopScope)
    index = pass_of(scope.id)[1]
    skip_uncalled(scope)
    if scope.graph.failure is None:
        try:
            _succeeded(loop, index, scope)
        except NodeError as error:
            loop.fail(index, ErrorDocument.of(error.type, error.message, scope.id))
            _closed(loop, index, scope, PassEnd.FAILED)
    else:
        _failed(loop, index, scope, scope.graph.failure)
    loop.scopes.mark(loop)


def _succeeded(loop: LoopScope, index: int, scope: GraphScope) -> None:
    """Raises `ValuesMissing`, and `NodeError` for what cannot be collected."""
    if loop.spec.is_chained:
        collecting.append(loop, loop.loop.collected, graph_output(scope))
    if scope.graph.serials:
        loop.loop.passes.serials[index] = dict(scope.graph.serials)
    loop.loop.bytes += scope.graph.values_bytes.get(OUTPUTS, 0)
    _go_round(loop, index, scope)
    _closed(loop, index, scope, PassEnd.SUCCESS)
    loop.ended[index] = scope


def _failed(loop: LoopScope, index: int, scope: GraphScope, error: ErrorDocument) -> None:
    spec, state = loop.spec, loop.loop
    seed = f"{loop.turn.state.execution_id}/pass:{scope.id}#{scope.next_serial()}"
    retry = pass_retry(spec.retry, state.retries.get(index, ()), error, seed)
    if retry is not None:
        loop.close_pass(scope)
        state.passes.firsts[index] = state.next_serial
        state.retries[index] = retry.used
        if retry.delay:
            pending.start_timer(loop, index, Purpose.RETRY, loop.turn.now + retry.delay)
        else:
            retry_due(loop, index)
        return
    _closed(loop, index, scope, PassEnd.FAILED)
    if spec.on_item_error == "fail" or _too_many(loop):
        loop.fail(index, error)
        return
    if spec.on_item_error == "collect":
        entry = {"type": error.type, "message": error.message, "node": error.node}
        collecting.append(loop, state.passes.errors, [index, entry])
        if spec.is_chained:
            collecting.append(loop, state.collected, {"error": entry})
    _go_round(loop, index, scope)


def retry_due(loop: LoopScope, index: int) -> None:
    """It is time for the next attempt of a pass."""
    loop.scopes.open(loop.pass_id(index), loop.pass_state(index))


def _too_many(loop: LoopScope) -> bool:
    """Whether more passes have failed than the loop tolerates."""
    portion = loop.loop.portion
    tolerated = portion.tolerated if portion is not None else parts.tolerated(loop.spec, loop.loop.passes.count)
    return 0 <= tolerated < loop.loop.passes.failed


def _closed(loop: LoopScope, index: int, scope: GraphScope, end: PassEnd) -> None:
    """A pass is over."""
    passes = loop.loop.passes
    loop.close_pass(scope)
    passes.set_end(index, end)
    if end is not PassEnd.SUCCESS:
        passes.firsts.pop(index, None)  # nobody reads its runs, and should it run again, it gets new serials
    if loop.loop.portion is not None:
        loop.turn.state.failed_passes = passes.failed
    loop.loop.retries.pop(index, None)
    loop.loop.open_count -= 1
    loop.turn.state.open_passes -= 1


def _go_round(loop: LoopScope, index: int, scope: GraphScope) -> None:
    """After a pass: whether there is another one. Raises `ValuesMissing`."""
    spec, passes = loop.spec, loop.loop.passes
    if (spec.until is not None and _holds(loop, spec.until, scope)) or (
        spec.condition is not None and not _holds(loop, spec.condition, scope)
    ):
        loop.loop.is_over = loop.loop.failure is None
    elif passes.count < 0 and passes.begun >= spec.max_iterations:
        if spec.stops:
            loop.loop.is_over = True
        elif loop.loop.failure is None:
            message = f"it has not ended after {spec.max_iterations:,} passes"
            loop.fail(index, ErrorDocument.of("max_iterations", message, loop.id))


def _holds(loop: LoopScope, condition: Formula, scope: GraphScope | None) -> bool:
    """What a condition of the loop says after a pass, or before the first. Raises `ValuesMissing`."""
    seen = scope if scope is not None else loop.look(0, loop.pass_state(0))
    try:
        return bool(seen.evaluate(condition, OUTPUTS))
    except EvaluationError as error:
        name = "until" if condition is loop.spec.until else "while"
        loop.fail(loop.loop.passes.begun, ErrorDocument.of("execution_error", f"{name}: {error}", loop.id))
        return False


# ---- the end


def _complete(loop: LoopScope) -> None:
    """None is open, and none is left. Raises `ValuesMissing`."""
    if loop.loop.failure is not None:
        _fail(loop, loop.loop.failure)
        return
    scope, node = loop.around_it, loop.node
    if collecting.is_large(loop):
        pending.drop_owned(scope, node)
        scope.graph.next_serials[node] = loop.next_serial()
        collecting.order(loop)
        return
    try:
        output = collecting.collected(loop)
    except NodeError as error:
        _fail(loop, ErrorDocument.of(error.type, error.message, loop.id))
        return
    pending.drop_owned(scope, node)
    _forget(loop)
    outcome.conclude(scope, node, Yielded(output, loop.loop.passes.as_ordered()))


def _fail(loop: LoopScope, error: ErrorDocument) -> None:
    """The loop has failed. If that is final, or a person decides, its progress is remembered."""
    scope, node = loop.around_it, loop.node
    pending.drop_owned(scope, node)
    loop.close()
    scope.graph.next_serials[node] = loop.next_serial()
    outcome.conclude(scope, node, Failure(error))
    if scope.graph.marks[node] not in (Mark.FAILED, Mark.ESCALATED) and loop.id in loop.scopes:
        _forget(loop)


def _forget(loop: LoopScope) -> None:
    loop.around_it.graph.next_serials[loop.node] = loop.next_serial()
    loop.close()
    loop.scopes.forget(loop)


# ---- another run of a loop that has failed, or was cancelled


def _go_on(loop: LoopScope) -> None:
    """Run the passes that did not succeed once more, and those that had not begun."""
    state = loop.loop
    loop.is_closed = False
    state.pending.clear()
    if state.parts is not None:
        parts.go_on(loop)
        return
    state.open_count = 0
    if loop.spec.is_chained:  # those after it have read what it came to
        last = state.passes.begun - 1
        state.again = [last] if last >= 0 and state.passes.end(last) is not PassEnd.SUCCESS else []
    else:
        state.again = list(state.passes.having(PassEnd.NONE, PassEnd.FAILED))
    for index in state.again:
        run_again(loop, index)
    state.is_over = state.is_over and not state.again
    loop.scopes.mark(loop)


def run_again(loop: LoopScope, index: int) -> None:
    """A pass has to run again, whatever its outcome."""
    passes = loop.loop.passes
    passes.set_end(index, PassEnd.NONE)
    passes.serials.pop(index, None)
    passes.firsts[index] = max(loop.next_serial(), passes.serial(index))
