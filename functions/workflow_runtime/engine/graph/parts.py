"""Loops whose passes run in executions of their own: each has a mailbox to itself, so that none gets too much mail.

A part is an execution of so many passes on the same plan, entered at the loop (`engine.portions`). This loop starts the
parts, waits for their ends and adds up what they report; a worker joins what they came to.
"""

from __future__ import annotations

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Child, Purpose
from workflow_runtime.engine.commands import StartChild
from workflow_runtime.engine.events import ChildEnded
from workflow_runtime.engine.graph import collecting
from workflow_runtime.engine.graph.children import error_of, next_generation
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.passes import Parts, PassEnd, Passes, Portion
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.tables import entered
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.specs import LoopSpec

PART_PASSES = 1_000
PARTS_OPEN_MAX = 100


def check_depth(state: ExecutionState) -> None:
    """Raises `NodeError` where a loop may not start executions."""
    next_generation(state)


def planned(state: ExecutionState, spec: LoopSpec, count: int) -> Parts | None:
    """The parts of a loop of so many passes; None: it runs them itself. Raises `NodeError` where it may not start
    executions."""
    if not spec.is_distributed:
        return None
    check_depth(state)
    return Parts(Passes(-(-count // PART_PASSES)))


def tolerated(spec: LoopSpec, count: int) -> int:
    """How many passes of so many may fail; -1: any number."""
    return spec.tolerated_share * count // 100 if spec.tolerated_share >= 0 else spec.tolerated


def settle(loop: LoopScope) -> None:
    """Start parts as long as there is room, or end the loop. Raises `ValuesMissing`."""
    parts = _parts(loop)
    at_once, each = _shared(loop.spec.max_concurrency, parts.ends.count)
    while parts.again or parts.ends.begun < parts.ends.count:
        if len(loop.pending) >= at_once:
            return
        if not loop.turn.has_room:
            state = loop.turn.state
            state.queued = entered(state.queued, loop.id, True)
            return
        _start(loop, parts, each)
    if not loop.pending:
        scope, node = loop.around_it, loop.node
        pending.drop_owned(scope, node)
        scope.graph.next_serials[node] = loop.next_serial()
        collecting.order(loop)


def _shared(limit: int, count: int) -> tuple[int, int]:
    """How many parts may run at once, and how many passes of each: together at most ``limit``, unless that is 0."""
    most = min(count, PARTS_OPEN_MAX)
    if not limit:
        return most, 0
    each = -(-limit // most)
    return limit // each, each


def _start(loop: LoopScope, parts: Parts, each: int) -> None:
    """Start the next part, or have one go on."""
    state, scope = loop.turn.state, loop.around_it
    if parts.again:
        index = parts.again.pop(0)
    else:
        index = parts.ends.begun
        parts.ends.begun += 1
    token = f"{loop.pass_id(index)}#{scope.graph.serial(loop.node)}"
    earlier = parts.orders.get(index, "")
    child = Child(loop.plan.workflow_id, earlier or token)
    parts.orders[index] = child.order
    bound = tolerated(loop.spec, loop.loop.passes.count)
    loop.turn.commands.append(
        StartChild(
            token,
            child.workflow_id,
            notify=True,
            hops=state.hops,
            node=loop.id,
            version=state.workflow_version,
            generation=next_generation(state),
            reopens=earlier,
            portion=Portion(loop.id, index * PART_PASSES, _size(loop, index), each, bound),
        )
    )
    pending.await_own_child(loop, index, token, Purpose.WAIT, child)


def ended(loop: LoopScope, index: int, event: ChildEnded) -> None:
    """A part has ended, or could not be started."""
    parts = _parts(loop)
    if event.failed_passes:
        parts.failures[index] = event.failed_passes
    if event.status == ExecutionStatus.COMPLETED:
        stored = event.blob if event.blob is not None else f"{loop.turn.store([event.output])}.0"
        parts.outputs[index] = stored
        parts.ends.set_end(index, PassEnd.SUCCESS)
    else:
        parts.ends.set_end(index, PassEnd.FAILED)
        loop.fail(index, error_of(loop.id, event))
    _count(loop, parts)
    failed, bound = loop.loop.passes.failed, tolerated(loop.spec, loop.loop.passes.count)
    if 0 <= bound < failed and loop.loop.failure is None:
        message = f"{failed:,} passes have failed, and {bound:,} may"
        loop.fail(index, ErrorDocument.of("execution_error", message, loop.id))
    loop.scopes.mark(loop)


def _count(loop: LoopScope, parts: Parts) -> None:
    """Add up how far the parts are."""
    passes = loop.loop.passes
    passes.failed = sum(parts.failures.values())
    passes.succeeded = sum(_size(loop, index) - parts.failures.get(index, 0) for index in parts.outputs)


def go_on(loop: LoopScope) -> None:
    """Have those parts go on that have not succeeded."""
    parts = _parts(loop)
    parts.again = list(parts.ends.having(PassEnd.NONE, PassEnd.FAILED))
    for index in parts.again:
        parts.ends.set_end(index, PassEnd.NONE)
        parts.failures.pop(index, None)
    _count(loop, parts)
    loop.scopes.mark(loop)


def _size(loop: LoopScope, index: int) -> int:
    """How many passes a part has."""
    return min(PART_PASSES, loop.loop.passes.count - index * PART_PASSES)


def _parts(loop: LoopScope) -> Parts:
    assert loop.loop.parts is not None, "only such loops are asked"
    return loop.loop.parts
