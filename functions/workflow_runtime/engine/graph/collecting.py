"""What the passes of a loop contribute to its output."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.graph.control import DECISION_BYTES_MAX
from workflow_runtime.engine.graph.loop_scope import LoopScope
from workflow_runtime.engine.graph.outputs import graph_output
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.work import loop_order
from workflow_runtime.engine.lifecycle import Change, Mark
from workflow_runtime.engine.passes import Log, PassEnd
from workflow_runtime.engine.turn import ValuesMissing
from workflow_runtime.engine.values.passes import collecting_failed
from workflow_runtime.errors import NodeError
from workflow_runtime.language.json_values import Json

RUNS_READ_MAX = 100  # to put an output together; more, or larger ones, are read by a worker
TAIL_BYTES_MAX = 2 * 1024  # of a log in the state; beyond, its values are stored apart

_MARKS = {"success": Mark.SUCCESS, "failed": Mark.FAILED, "cancelled": Mark.CANCELLED}


def append(loop: LoopScope, log: Log, value: Json) -> None:
    """Add a value to a log of the loop."""
    log.tail.append(value)
    log.tail_bytes += len(msgspec.json.encode(value))
    if log.tail_bytes > TAIL_BYTES_MAX:
        log.pages.append(f"{loop.turn.store([log.tail[:]])}.0")
        log.tail.clear()
        log.tail_bytes = 0


def is_large(loop: LoopScope) -> bool:
    """Whether a worker puts the output together."""
    if loop.spec.is_chained:
        return False
    unread = loop.loop.passes.succeeded - len(loop.ended)
    return loop.loop.bytes > DECISION_BYTES_MAX or unread * len(loop.body.contributors) > RUNS_READ_MAX


def order(loop: LoopScope) -> None:
    """Have a worker put the output together."""
    scope, node = loop.around_it, loop.node
    command = loop_order(scope, node, loop.body)
    scope.change(node, Change.ORDER)
    scope.turn.state.in_flight += 1
    state = loop.loop
    if state.parts is not None:
        joined = tuple(state.parts.outputs[index] for index in sorted(state.parts.outputs))
        command = replace(command, passes=state.passes.as_ordered(), parts=joined)
    else:
        command = replace(command, passes=state.passes.as_ordered(), items=state.items)
    scope.commands.append(command)


def collected(loop: LoopScope) -> list[Json]:
    """The loop's output: a value of each pass that succeeded, in order, and errors where they are wanted. Raises
    `ValuesMissing`, `NodeError`."""
    if loop.spec.is_chained:
        return loop.values(loop.loop.collected)
    passes = loop.loop.passes
    errors = dict(loop.values(passes.errors))
    found: list[Json] = []
    lacks = False
    for index in passes.having(PassEnd.SUCCESS, PassEnd.FAILED):
        if passes.end(index) is PassEnd.FAILED:
            found += [{"error": errors[index]}] if index in errors else []
            continue
        try:
            found.append(_contribution(loop, index))
        except ValuesMissing:
            lacks = True
    if lacks:
        raise ValuesMissing
    return found


def _contribution(loop: LoopScope, index: int) -> Json:
    ended = loop.ended.get(index)
    try:
        return graph_output(ended if ended is not None else _recorded(loop, index))
    except NodeError as error:
        raise collecting_failed(index, error) from error


def _recorded(loop: LoopScope, index: int) -> GraphScope:
    """A pass as the runs of its nodes tell. Raises `ValuesMissing`."""
    state = loop.pass_state(index)
    state.serials = dict(loop.loop.passes.serials.get(index, {}))
    lacks = False
    for node in loop.body.contributors:
        read = Read(loop.body.first + node, state.serial(node), f"{loop.pass_id(index)}/")
        value = loop.turn.known.nodes.get(read)
        if value is None:
            loop.turn.lacks().passes[read] = None
            lacks = True
        else:
            state.marks[node] = _MARKS.get(value.status, Mark.SKIPPED)
    if lacks:
        raise ValuesMissing
    state.succeeded_by = next((node for node in loop.body.final if state.marks[node] == Mark.SUCCESS), -1)
    return loop.look(index, state)
