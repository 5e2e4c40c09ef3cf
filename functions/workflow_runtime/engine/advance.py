"""The mind of an execution: ``advance(plan, state, events) -> Decision``, a pure function.

It is total: any event in any state is taken, ignored with a reason, or refused as `InvalidEvent`; anything else is a
bug. It does nothing itself. What must happen is returned as commands, to be carried out once the new state is
committed; what it would have to read first is returned as `Needs`. Read on in `results` (runs that ended), `graph`
(edges, joins, readiness), `control` (nodes decided here), `failure`, `ending`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from workflow_runtime.engine import graph
from workflow_runtime.engine.commands import Command, Continue, SetStatus
from workflow_runtime.engine.ending import end_if_done, fail
from workflow_runtime.engine.events import Event, ExecutionStarted, NodeFailed, NodeSucceeded, Poked
from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, ExecutionStatus
from workflow_runtime.engine.pruning import prune
from workflow_runtime.engine.results import accept_result
from workflow_runtime.engine.state import OPEN_MARKS, ExecutionState, Mark, initial_graph_state
from workflow_runtime.engine.turn import (
    VALUE_KEPT_BYTES_MAX,
    VALUES_KEPT_BYTES_MAX,
    Known,
    Needs,
    Turn,
)
from workflow_runtime.errors import ErrorDocument, InvalidEvent
from workflow_runtime.plan import OUTPUTS, Plan

GLOBALS_KEPT_BYTES_MAX = 512  # parts of the input that decisions read, kept in the state instead of read again

NOTHING_KNOWN = Known()


class Decision(msgspec.Struct, frozen=True):
    """The next state (one version on) and what must be done. ``changed`` False: nothing happened, there is nothing to
    commit.

    ``ignored``: ids of events without effect, each with the reason.
    """

    state: ExecutionState
    commands: tuple[Command, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    changed: bool = True


def new_execution(plan: Plan, execution_id: str, workflow_version: int, started_at: int) -> ExecutionState:
    """The state before the first event."""
    return ExecutionState(
        execution_id, plan.hash, workflow_version, initial_graph_state(plan.root), now=started_at, started_at=started_at
    )


def advance(
    plan: Plan, state: ExecutionState, events: Sequence[Event], now: int, known: Known = NOTHING_KNOWN
) -> Decision | Needs:
    """Take ``events`` in order at time ``now`` (epoch ms; the engine's time never goes back).

    ``known``: values read because an earlier call with the same arguments returned `Needs`. ``state`` is not changed.
    Raises `InvalidEvent` if one of the events can never have been sent to this execution; then none of them was taken.
    """
    turn = Turn(plan, state.copy(), known)
    turn.state.now = max(state.now, now)
    turn.state.version += 1
    turn.catch_up()
    ignored = []
    changed = False
    for event in events:
        reason = _take(turn, event)
        if reason:
            ignored.append((event.event_id, reason))
            continue
        graph.settle(turn)  # after each one, so that it makes no difference how events were batched
        end_if_done(turn)
        changed = changed or bool(turn.commands) or not isinstance(event, Poked)
    if turn.needs is not None:
        return turn.needs
    if not turn.has_room and (turn.graph.queue or turn.graph.withdrawn or turn.graph.unannounced):
        turn.commands.append(Continue())
    _keep_values(turn)
    return Decision(turn.state, tuple(turn.commands), tuple(ignored), changed)


def abort(plan: Plan, state: ExecutionState, error: ErrorDocument) -> Decision:
    """The decision to fail an execution at once, for a reason outside its plan; nothing of it runs any more."""
    turn = Turn(plan, state.copy(), NOTHING_KNOWN)
    turn.state.version += 1
    turn.state.root = initial_graph_state(plan.root)
    turn.state.root.marks = bytearray(
        Mark.SKIPPED if mark == Mark.WAITING else Mark.CANCELLED if mark in OPEN_MARKS else mark
        for mark in state.root.marks
    )
    turn.state.root.open_count = 0
    turn.state.root.serials = state.root.serials
    turn.graph = turn.state.root
    fail(turn, error)
    return Decision(turn.state, tuple(turn.commands))


def _take(turn: Turn, event: Event) -> str:
    """Let one event work on the state. Returns the reason if it is ignored."""
    row = EXECUTION_ROWS.get((turn.state.status, type(event)))
    if row is None:
        raise InvalidEvent(f"{type(event).__name__} cannot come while the execution is {turn.state.status.value}")
    if row.status is None:
        return row.reason
    turn.state.status = row.status
    return _TAKERS[type(event)](turn, event)


def _started(turn: Turn, _: ExecutionStarted) -> str:
    turn.commands.append(SetStatus(ExecutionStatus.RUNNING, turn.now))
    if "execution" in turn.plan.events:
        turn.publish("execution.started", status="running", started_at=turn.state.started_at)
    graph.start(turn)
    return ""


def _poked(_: Turn, __: Poked) -> str:
    return ""


_TAKERS: dict[type[Event], Callable[[Turn, Any], str]] = {
    ExecutionStarted: _started,
    NodeSucceeded: accept_result,
    NodeFailed: accept_result,
    Poked: _poked,
}


def _keep_values(turn: Turn) -> None:
    """Between turns the state keeps small values whose readers have not decided yet; larger ones are read again."""
    kept = turn.graph.values
    closed = [node for node in kept if not _has_open_reader(turn, node)]
    for node in closed:
        del kept[node]
    if turn.state.status.terminal:
        return
    room = VALUES_KEPT_BYTES_MAX - sum(_size(value) for value in kept.values())
    for node, value in turn.fresh.items():
        if not _has_open_reader(turn, node):
            continue
        pruned = prune(value, turn.block.nodes[node].decision_paths)
        size = _size(pruned)
        if size <= min(room, VALUE_KEPT_BYTES_MAX):
            kept[node] = pruned
            room -= size
    if turn.known.globals is not None and turn.state.globals is None:
        globals_ = turn.known.globals
        if _size(globals_) <= GLOBALS_KEPT_BYTES_MAX:
            turn.state.globals = globals_


def _has_open_reader(turn: Turn, node: int) -> bool:
    """Whether somebody may still decide something by it; readers later in the file are likelier to be open."""
    readers = turn.block.readers[node]
    return OUTPUTS in readers[:1] or any(turn.is_open(reader) for reader in reversed(readers))


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))
