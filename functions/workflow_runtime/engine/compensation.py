"""Compensation: an execution that ends badly undoes what succeeded in it.

The state lists the visits that can be undone as they succeed, over all scopes. Runs of such nodes that workers have in
hand when they are cancelled, be it with their branch, pass or state or at the end, are told to stop and awaited: what
succeeds all the same is in the list, too, and a compensation begins once all are known. Then each visit gets
a scope of its own for its compensation, a block of one node: one after the other from the newest to the oldest, or all
of them at once. These scopes are in no other, for those of the visits may be gone.

`ending` says when a compensation begins and what its end means.
"""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Purpose
from workflow_runtime.engine.commands import CancelRun, Read, RecordNode, StopRun
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, NodeYielded, RunStopped
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import ExecutionStatus, Mark
from workflow_runtime.engine.scope_states import initial_graph_state
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.tables import entered, included
from workflow_runtime.engine.turn import COMMANDS_MAX, Turn
from workflow_runtime.engine.visits import Fate, Original, Undoable, Undoing, awaited_as
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import segments
from workflow_runtime.plan.addresses import ScopeId
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan

STOP_SECONDS = 120  # that runs which were told to stop are awaited
UNDO_MAX = 20_000  # visits that can be undone: an execution that would have more fails, and undoes these
AT_ONCE_MAX = 500  # visits undone at the same time: each holds a scope in the state meanwhile

FAILURE, CANCEL, TIMEOUT = "failure", "cancel", "timeout"
"""Occasions, as `compensation.on` names them."""


def is_wanted(turn: Turn, occasion: str) -> bool:
    """Whether an execution that ends on this occasion undoes what it has done."""
    return bool(turn.plan.undo_blocks) and (occasion in turn.plan.compensation.on or turn.state.undo_anyway)


def spare(turn: Turn) -> None:
    """Runs that this commit cancels are told to stop and awaited instead, if they are a worker's and can be undone.

    What runs in the place of a node that has failed is undone by that node's compensation, unless it has its own. A
    worker may go on with others in place: whoever stops it finds those, and they are awaited like it.
    """
    state = turn.state
    for place, command in reversed(list(enumerate(turn.commands))):
        if isinstance(command, CancelRun) and _is_spared(turn, command.path, command.serial):
            turn.commands[place] = StopRun(command.path, command.serial)
            followers = turn.followers.get((command.path, command.serial), ())
            if state.takes_early and followers and not _can_be_undone(turn, command.path, command.serial):
                _await_all(turn, followers)  # whoever stops it closes it, and finds that these never begin
            else:
                _await(turn, command.path, command.serial)
    for path, serial in state.withdrawn:
        if _is_spared(turn, path, serial):
            _await(turn, path, serial)
    if state.originals:  # how they end is known once what runs in their place has
        open = {(original.path, original.serial) for original in state.originals.values()}
        turn.commands[:] = [c for c in turn.commands if not (isinstance(c, CancelRun) and (c.path, c.serial) in open)]
        state.withdrawn = [run for run in state.withdrawn if run not in open]


def _is_spared(turn: Turn, path: str, serial: int) -> bool:
    run, node = (path, serial), node_of(turn.plan, path)
    if node is None or node.pool is None or awaited_as(turn.state.stopping, path, serial) or run in turn.idle:
        return False
    return _can_be_undone(turn, path, serial) or bool(turn.followers.get(run))


def _can_be_undone(turn: Turn, path: str, serial: int) -> bool:
    """Whether what a run comes to is undone, itself or as what it runs in the place of."""
    node = node_of(turn.plan, path)
    return (node is not None and node.compensate >= 0) or (path, serial) in turn.originals


def _await_all(turn: Turn, runs: Iterable[tuple[str, int]]) -> None:
    state = turn.state
    for path, serial in runs:
        name = f"{path}#{serial}" if path in state.stopping else path
        state.stopping = entered(state.stopping, name, serial)
        state.in_flight += 1


def _await(turn: Turn, path: str, serial: int) -> None:
    state = turn.state
    _await_all(turn, ((path, serial), *turn.followers.get((path, serial), ())))
    original, node = turn.originals.get((path, serial)), node_of(turn.plan, path)
    if original is not None and node is not None and node.compensate < 0:
        state.originals = entered(state.originals, awaited_as(state.stopping, path, serial), original)


def has_work(state: ExecutionState) -> bool:
    """Whether anything can be undone, or may still turn out so."""
    return bool(state.stopping) or len(state.fates) < len(state.undo)


def begin(scopes: Scopes, status: ExecutionStatus, error: ErrorDocument | None, *, again: bool = False) -> None:
    """Undo what is not undone yet; ``status`` and ``error``: how the execution ends then."""
    turn = scopes.turn
    state = turn.state
    serial = state.undoing.serial if state.undoing is not None else 1
    state.undoing = Undoing(status, error, serial=serial, again=again)
    state.status = ExecutionStatus.COMPENSATING
    scopes.root.pending.clear()  # of what was dropped; from now on only this is waited for
    if state.stopping:
        pending.start_timer(scopes.root, -1, Purpose.STOP, turn.now + STOP_SECONDS * 1000)
    else:
        _undo_all(state)


def again(scopes: Scopes) -> bool:
    """Of an execution that has ended: undo what is not undone yet, and end as before. False if there is nothing."""
    state = scopes.turn.state
    for place in [place for place, fate in state.fates.items() if fate.mark != Mark.SUCCESS]:
        del state.fates[place]
    if not has_work(state):
        return False
    error = state.error
    if state.undoing is not None and state.undoing.is_of(state.status, state.error):
        error = state.undoing.error
    elif state.status is ExecutionStatus.CANCELLED:
        error = cancelled("")
    begin(scopes, state.status, error, again=True)
    return True


def cancelled(reason: str) -> ErrorDocument:
    """What compensations are told of a cancellation."""
    return ErrorDocument.of("cancelled", reason or "the execution was cancelled")


# ---- runs that were told to stop


def stopped(scopes: Scopes, event: NodeSucceeded | NodeFailed | NodeYielded | RunStopped) -> None:
    """A run that was awaited has ended, or never began; one that succeeded is undone, too."""
    turn = scopes.turn
    state = turn.state
    awaited = awaited_as(state.stopping, event.path, event.serial)
    del state.stopping[awaited]
    state.in_flight -= 1
    original = state.originals.pop(awaited, None)
    if isinstance(event, NodeSucceeded):
        done = _read(turn.plan, event.path, event.serial)
        turn.announce(event.path, "success")
        if original is not None:
            done = _succeeded_by_fallback(turn, original, done)
        if turn.plan.node(done.node).compensate >= 0:  # else it was awaited for what may follow it
            state.undo += (Undoable(done.node, done.serial, done.prefix or ""),)
    elif original is not None:
        if state.awaits_cancelled:
            turn.idle = included(turn.idle, (original.path, original.serial))
        turn.cancel(original.path, original.serial, original.started_at, original.child)
    if not state.stopping and state.status is ExecutionStatus.COMPENSATING:
        pending.drop_owned(scopes.root, -1)
        _undo_all(state)


def came_late(scopes: Scopes, event: NodeSucceeded | NodeFailed) -> bool:
    """Whether an event without effect tells of a success that is to be undone all the same if the execution fails: in a
    segment, results are reported at its end, and may have been recorded long before its branch was cancelled."""
    turn = scopes.turn
    place = turn.plan.locate(event.path)
    if not isinstance(event, NodeSucceeded) or place is None or turn.state.status is ExecutionStatus.COMPENSATING:
        return False
    block, scope = turn.plan.blocks[place.block], scopes.get(place.scope)
    if not turn.state.segments or not (segments.after(block, place.node) or segments.may_follow(block, place.node)):
        return False
    if isinstance(scope, GraphScope) and scope.graph.serial(place.node) == event.serial and scope.is_open(place.node):
        return False  # it ran in place, and whoever is to run it finds that
    done = _read(turn.plan, event.path, event.serial)
    visit = Undoable(done.node, done.serial, done.prefix or "")
    if turn.plan.node(done.node).compensate < 0 or visit in turn.state.undo:
        return False
    turn.state.undo += (visit,)
    return True


def _read(plan: Plan, path: str, serial: int) -> Read:
    place = plan.locate(path)
    assert place is not None, "only nodes of the plan are awaited"
    block = plan.blocks[place.block]
    return Read(block.first + place.node, serial, path[: len(path) - len(block.nodes[place.node].id)])


def _succeeded_by_fallback(turn: Turn, original: Original, done: Read) -> Read:
    """What ran in the place of a node has succeeded after all: so has the node, with that output and its own inputs."""
    own = _read(turn.plan, original.path, original.serial)
    record = RecordNode(
        original.path,
        original.serial,
        turn.now,
        started_at=original.started_at,
        attempt=original.attempt,
        output_of=done,
        inputs_of=Read(own.node, own.serial - 1, own.prefix),
        fallback_used=True,
        child=original.child,
    )
    turn.commands.append(record)
    turn.announce(original.path, "success")
    return own


def close(turn: Turn) -> None:
    """Wait no longer than it takes to close the runs: what has succeeded by then is undone, though its worker died
    before it said so; whatever they still do comes too late."""
    state = turn.state
    assert state.undoing is not None, "only a compensation waits until then"
    state.undoing.closes = True
    for name, serial in state.stopping.items():
        turn.cancel(_path_of(name, serial), serial)


def give_up(turn: Turn) -> None:
    """Stop waiting: whatever the runs still do comes too late."""
    state = turn.state
    awaited, state.stopping = state.stopping, {}
    originals, state.originals = state.originals, {}
    state.in_flight -= len(awaited)
    for name, serial in awaited.items():
        turn.cancel(_path_of(name, serial), serial)
    for original in originals.values():
        turn.cancel(original.path, original.serial, original.started_at, original.child)
    if state.status is ExecutionStatus.COMPENSATING:
        _undo_all(state)


def _path_of(name: str, serial: int) -> str:
    """The path of a run that is awaited under this name."""
    return name.removesuffix(f"#{serial}")


# ---- visits


def _undo_all(state: ExecutionState) -> None:
    assert state.undoing is not None
    state.undoing.left = len(state.undo)


def undo_more(scopes: Scopes, undoing: Undoing) -> bool:
    """Begin to undo the next visits, as many as may be undone at once. False when none began."""
    turn = scopes.turn
    limit = 1 if turn.plan.compensation.order == "reverse" else AT_ONCE_MAX
    room = min(limit - undoing.open, COMMANDS_MAX - len(turn.commands))
    for number in range(room):
        place = _next(turn, undoing)
        if place is None:
            return number > 0
        _open(scopes, undoing, place)
    return room > 0


def _next(turn: Turn, undoing: Undoing) -> int | None:
    """The place of the next visit that may be undone now: none is while its compensation runs for another visit."""
    state = turn.state
    for place in undoing.held:
        if _address(turn.plan, state.undo[place]) not in state.scopes:
            undoing.held.remove(place)
            return place
    while undoing.left:
        undoing.left -= 1
        if undoing.left in state.fates:
            continue
        if _address(turn.plan, state.undo[undoing.left]) not in state.scopes:
            return undoing.left
        undoing.held.append(undoing.left)
    return None


def _address(plan: Plan, visit: Undoable) -> ScopeId:
    return visit.prefix + plan.blocks[plan.node(visit.number).compensate].nodes[0].id


def _open(scopes: Scopes, undoing: Undoing, place: int) -> None:
    state = scopes.turn.state
    visit = state.undo[place]
    graph = initial_graph_state(scopes.turn.plan, scopes.turn.plan.node(visit.number).compensate, undoing.serial)
    graph.undoes = place
    state.fates = entered(state.fates, place, Fate(Mark.RUNNING, undoing.serial))
    undoing.open += 1
    scopes.open(_address(scopes.turn.plan, visit), graph)


def undone(scope: GraphScope) -> None:
    """The compensation of a visit has ended, well or badly; the others go on."""
    state = scope.turn.state
    undoing = state.undoing
    assert undoing is not None
    mark = Mark.SUCCESS if scope.graph.failure is None else Mark.FAILED
    state.fates[scope.graph.undoes] = Fate(mark, scope.graph.serial(0))
    undoing.open -= 1
    undoing.serial = max(undoing.serial, scope.next_serial())
    scope.scopes.close(scope)


def close_open(scopes: Scopes) -> None:
    """Cancel the compensations that are under way."""
    state = scopes.turn.state
    for place in [place for place, fate in state.fates.items() if fate.mark == Mark.RUNNING]:
        scope = scopes.get(_address(scopes.turn.plan, state.undo[place]))
        if scope is not None:
            scopes.close(scope)


def goes_on(state: ExecutionState) -> bool:
    """Whether something is still awaited or being undone, or could be."""
    undoing = state.undoing
    return bool(state.stopping) or (undoing is not None and bool(undoing.open or undoing.held or undoing.left))


def result(state: ExecutionState) -> str:
    """``completed``, or ``failed`` if something that should have been undone is not."""
    is_whole = len(state.fates) == len(state.undo) and all(fate.mark == Mark.SUCCESS for fate in state.fates.values())
    return "completed" if is_whole else "failed"
