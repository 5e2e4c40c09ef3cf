"""The mind of an execution: ``advance(plan, state, events) -> Decision``, a pure function.

It is total: any event in any state is taken, ignored with a reason, or refused as `InvalidEvent`; anything else is a
bug. It does nothing itself. What must happen is returned as commands, to be carried out once the new state is
committed; what it would have to read first is returned as `Needs`. Read on in `tree` (the scopes), `graph` (edges,
joins, readiness), `control` (nodes decided here), `machine` (charts), `results` and `signals` (events), `failure`,
`ending`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from workflow_runtime.engine import closing, tree
from workflow_runtime.engine.commands import Command, Continue, SetStatus
from workflow_runtime.engine.ending import fail
from workflow_runtime.engine.events import (
    ChildEnded,
    Event,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    Poked,
    SendFailed,
    SignalReceived,
    TimerFired,
)
from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, ExecutionStatus
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.pruning import prune
from workflow_runtime.engine.results import accept_result
from workflow_runtime.engine.routing import subscribe
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.signals import (
    accept_child,
    accept_send_failure,
    accept_signal,
    accept_timer,
    first_due,
)
from workflow_runtime.engine.state import ExecutionState, GraphState, MachineState, Parent, initial_graph_state
from workflow_runtime.engine.turn import (
    VALUE_KEPT_BYTES_MAX,
    VALUES_KEPT_BYTES_MAX,
    Known,
    Needs,
    Turn,
    ValuesMissing,
)
from workflow_runtime.errors import ErrorDocument, InvalidEvent
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.plan import Plan

GLOBALS_KEPT_BYTES_MAX = 512  # parts of the input that decisions read, kept in the state instead of read again

NOTHING_KNOWN = Known()


class Decision(msgspec.Struct, frozen=True):
    """The next state (one version on) and what must be done. ``changed`` False: nothing happened, there is nothing to
    commit.

    ``ignored``: ids of events without effect, each with the reason. ``macrosteps``: what charts did.
    """

    state: ExecutionState
    commands: tuple[Command, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    changed: bool = True
    macrosteps: tuple[Macrostep, ...] = ()


def new_execution(
    plan: Plan,
    execution_id: str,
    workflow_version: int,
    started_at: int,
    parent: Parent | None = None,
    hops: int = 0,
) -> ExecutionState:
    """The state before the first event."""
    root = initial_graph_state(plan.root)
    return ExecutionState(
        execution_id, plan.hash, workflow_version, root, now=started_at, started_at=started_at, parent=parent, hops=hops
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
    tree.load(turn)
    turn.catch_up()
    ignored = []
    changed = False
    for event in _with_earlier_timers(turn, events):
        try:
            reason = _take(turn, event)
        except ValuesMissing:
            break
        if reason:
            ignored.append((event.event_id, reason))
            changed = changed or _is_told_of(turn, event)
        if not reason or turn.macrosteps:  # a guard that failed has raised an error
            tree.settle(turn)  # after each one, so that it makes no difference how events were batched
        changed = changed or bool(turn.commands or turn.macrosteps) or not (reason or isinstance(event, Poked))
        if turn.needs is not None:
            break
    if turn.needs is None:
        with suppress(ValuesMissing):
            subscribe(turn)
    if turn.needs is not None:
        return turn.needs
    if _must_go_on(turn):
        turn.commands.append(Continue())
    _keep_values(turn)
    return Decision(turn.state, tuple(turn.commands), tuple(ignored), changed, tuple(turn.macrosteps))


def _with_earlier_timers(turn: Turn, events: Sequence[Event]) -> Iterator[Event]:
    """The events; before a timer those that were due before it, or at the same time and started before it: whoever
    delivers them may change their order, which must not decide what an execution does."""
    for event in events:
        if isinstance(event, TimerFired):
            while (timer := first_due(turn, event.timer)) != event.timer:
                yield TimerFired(f"timer:{timer}", event.at, timer)
        yield event


def abort(plan: Plan, state: ExecutionState, error: ErrorDocument) -> Decision:
    """The decision to fail an execution at once, for a reason outside its plan; nothing of it runs any more."""
    turn = Turn(plan, state.copy(), NOTHING_KNOWN)
    turn.state.version += 1
    tree.load(turn)
    closing.close_all(turn)
    turn.commands.clear()  # workers run nothing of an execution that has ended, and timers find it so
    root = turn.state.root
    turn.state.root = GraphState(root.marks, 0, root.first_serial, serials=root.serials)
    if turn.state.machine is not None:
        turn.state.machine = MachineState(turn.state.machine.configuration)
    turn.state.in_flight = 0
    turn.state.unannounced.clear()
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
    if not isinstance(event, Poked):
        turn.state.unprompted = 0
    return _TAKERS[type(event)](turn, event)


def _is_told_of(turn: Turn, event: Event) -> bool:
    """Whether the journal says why an event had no effect: who sent it from outside may ask."""
    return isinstance(event, SignalReceived) and not turn.state.status.terminal


def _started(turn: Turn, _: ExecutionStarted) -> str:
    turn.commands.append(SetStatus(ExecutionStatus.RUNNING, turn.now))
    if "execution" in turn.plan.events:
        turn.publish("execution.started", status="running", started_at=turn.state.started_at)
    tree.start(turn)
    return ""


def _poked(_: Turn, __: Poked) -> str:
    return ""


_TAKERS: dict[type[Event], Callable[[Turn, Any], str]] = {
    ExecutionStarted: _started,
    NodeSucceeded: accept_result,
    NodeFailed: accept_result,
    Poked: _poked,
    SignalReceived: accept_signal,
    TimerFired: accept_timer,
    ChildEnded: accept_child,
    SendFailed: accept_send_failure,
}


def _must_go_on(turn: Turn) -> bool:
    """Whether something could be done at once that this commit had no room for."""
    state = turn.state
    if state.status.terminal:
        return False
    if state.outbox:
        return True
    if turn.has_room:
        return False
    return bool(state.withdrawn or state.unannounced or any(scope.graph.queue for scope in turn.graphs.values()))


def _keep_values(turn: Turn) -> None:
    """Between turns the state keeps small values whose readers have not decided yet; larger ones are read again."""
    room = VALUES_KEPT_BYTES_MAX
    for scope in turn.graphs.values():
        kept = scope.graph.values
        for node in [node for node in kept if not _has_open_reader(scope, node)]:
            del kept[node]
        room -= sum(_size(value) for value in kept.values())
    if turn.state.status.terminal:
        return
    for scope in turn.graphs.values():
        for node, value in scope.fresh.items():
            if not _has_open_reader(scope, node):
                continue
            pruned = prune(value, scope.block.nodes[node].decision_paths)
            size = _size(pruned)
            if size <= min(room, VALUE_KEPT_BYTES_MAX):
                scope.graph.values[node] = pruned
                room -= size
    if turn.known.globals is not None and turn.state.globals is None and not turn.plan.has_chart:
        globals_ = turn.known.globals
        if _size(globals_) <= GLOBALS_KEPT_BYTES_MAX:
            turn.state.globals = globals_


def _has_open_reader(scope: GraphScope, node: int) -> bool:
    """Whether somebody may still decide something by it; readers later in the file are likelier to be open."""
    readers = scope.block.readers[node]
    return OUTPUTS in readers[:1] or any(scope.is_open(reader) for reader in reversed(readers))


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))
