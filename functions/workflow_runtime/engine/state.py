"""The engine's memory of one execution: what is needed to decide, nothing more.

Outputs live with the node runs, the input in its own item, transitions in the journal. A state is changed only by
`advance`, on a copy. Scopes (`scope_states`), and what is waited for, stay as they were stored until they are touched,
so that an event costs what it changes (`codec`, `tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine import tables
from workflow_runtime.engine.alarms import Alarms
from workflow_runtime.engine.awaited import Pending, PendingKind
from workflow_runtime.engine.commands import Deferrable
from workflow_runtime.engine.events import RunEnded, SignalReceived
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.marks import LONG_NODES, LongGraph, joined
from workflow_runtime.engine.pages import LONG_ENTRIES
from workflow_runtime.engine.scope_states import ChartState, GraphState, ScopeState
from workflow_runtime.engine.suspension import Escalation, Suspension
from workflow_runtime.engine.tables import forked, storable, whole
from workflow_runtime.engine.visits import NOTHING_TO_UNDO, Fate, Original, Undoables, Undoing
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId
from workflow_runtime.plan.limiters import Share

STATE_SCHEMA = 3
"""Number of this layout. Rows of older deployments stay readable (`schema1`, `schema2`), a newer one is refused. The
release before the first that writes a layout reads it, so that a deployment can be rolled back."""

UNNUMBERED_SCHEMA = 1
"""Of states that do not say their schema: the first layout left it out."""


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an execution that runs passes of another one's loop begins with: the ``loop``'s path, and the ``scopes`` it
    is in, by address."""

    loop: str
    scopes: dict[ScopeId, ScopeState]


class Parent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The execution that started this one, and under which of its tokens; ``notify``: it is told of the end.

    - ``node``: path of the node that did; "" if an action of a chart did
    - ``generation``: how many executions there are around this one
    - ``part``: of one that runs passes of a loop; the execution's state has it in other places
    - ``payer``: the execution that pays for its models, too: that one, or one that awaits it in turn
    """

    execution_id: str
    token: str = ""
    notify: bool = False
    node: str = ""
    generation: int = 0
    part: Part | None = None
    payer: str = ""


class ExecutionState(msgspec.Struct, omit_defaults=True, eq=False):
    """An execution at ``version`` commits. Times are epoch ms.

    - ``scopes``: what is at work in it, by address, in the order it began; as stored until it is touched. The graph at
      the top is always there
    - ``pending``: everything it waits for, by id; as stored until it is looked at
    - ``alarms``: its timers in the order in which they fire; None: nobody has put them in order yet
    - ``queued``: scopes with nodes that are ready but not ordered yet; ``cut_short``: because a commit had no more room
    - ``globals``: the parts of input, variables and env that decisions read, once they were fetched, if they are small
    - ``kept_bytes``: of decision values kept in all scopes; ``in_flight``: how many nodes are ordered and open
    - ``withdrawn``, ``unannounced``: runs still to be cancelled, and node events still to be published, because one
      commit's commands are bounded; ``backlog``: commands still to be given, in their order, for the same reason
    - ``newer``: fields that a newer deployment stored, as JSON by name; they are stored again as they are
    - ``made``: how many timers, sends and children were ever made, for their ids
    - ``outbox``: events that the execution sent itself, and ends of graphs that its charts are still to be told of
    - ``applied``: hashes of the ids of signals taken, with their times; ``hops``: of the last event from outside
    - ``kept``: events that came before their wait; ``unprompted``: macrosteps since any from outside, to end circles
    - ``undo``: visits that can be undone, in the order of their completion, as stored until they are looked at;
      ``fates``: what became of them, by place; ``undoing``: the compensation that is under way, or was the last
    - ``stopping``: runs that were told to stop and are awaited, because they can be undone: serial by path;
      ``originals``: of those that the compensation of another node undoes, in whose place they run, that one
    - ``attempt``: how often it was begun or reopened; ``replaced``: the number of the newest variables that replaced
      earlier ones, 0 if none did; ``aborted``: it was failed from outside its plan, and cannot go on
    - ``suspension``: while it is suspended; ``escalated``: the failure that suspended it, if one did;
      ``suspended_ms``: how long the suspensions before took altogether
    - ``held_first``, ``held_next``: numbers of the oldest event that is held, and of the next one that will be
    - ``undo_anyway``: a handler wants what succeeded undone when it fails
    - ``goes_on``: its parent wants it to go on once what it has done is undone
    - ``open_passes``: of all its loops; ``crowded``: loops that could begin another one, but for those
    - ``tenant``: whom it is for; ``shares``: its part in limiters, by their names. The engine only keeps them
    - ``part``: path of the loop whose passes this execution runs for its parent; ``failed_passes``: how many of them
      have failed; ``segments``, ``awaits_cancelled``, ``takes_early``: as its start said

    Two states are equal if they are stored alike, but for the pages of long tables.
    """

    execution_id: str
    plan_hash: str
    workflow_version: int
    scopes: MutableMapping[ScopeId, ScopeState | msgspec.Raw | LongGraph] = {}
    schema: int = UNNUMBERED_SCHEMA
    version: int = 0
    status: ExecutionStatus = ExecutionStatus.PENDING
    now: int = 0
    started_at: int = 0
    ended_at: int = 0
    error: ErrorDocument | None = None
    globals: dict[str, Json] | None = None
    kept_bytes: int = 0
    collecting: bool = False  # the output is being put together by a worker
    in_flight: int = 0
    pending: MutableMapping[str, Pending] = {}
    queued: MutableMapping[ScopeId, bool] = {}
    cut_short: bool = False
    withdrawn: list[tuple[str, int]] = []
    unannounced: list[tuple[str, str]] = []
    made: int = 0
    outbox: list[SignalReceived | RunEnded] = []
    kept: tuple[SignalReceived, ...] = ()
    applied: MutableMapping[str, int] = {}
    hops: int = 0
    unprompted: int = 0
    parent: Parent | None = None
    undo: Undoables = NOTHING_TO_UNDO
    fates: MutableMapping[int, Fate] = {}
    undoing: Undoing | None = None
    stopping: MutableMapping[str, int] = {}
    originals: MutableMapping[str, Original] = {}
    attempt: int = 1
    replaced: int = 0
    aborted: bool = False
    suspension: Suspension | None = None
    held_first: int = 0
    held_next: int = 0
    undo_anyway: bool = False
    backlog: tuple[Deferrable, ...] = ()
    newer: dict[str, bytes] = {}
    alarms: Alarms | None = None
    escalated: Escalation | None = None
    goes_on: bool = False
    open_passes: int = 0
    crowded: MutableMapping[ScopeId, bool] = {}
    tenant: str = ""
    shares: dict[str, Share] = {}
    part: str = ""
    failed_passes: int = 0
    suspended_ms: int = 0
    segments: bool = False
    awaits_cancelled: bool = False
    takes_early: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionState) and encode_state(self.whole()) == encode_state(other.whole())

    __hash__ = None  # type: ignore[assignment]  # it is changed while a turn works on it

    def copy(self) -> ExecutionState:
        """An independent state; its scopes are shared until they are touched. What is empty is shared, too, but for
        ``pending``: whoever puts something into such a table, or list, makes another one (`tables.entered`).
        """
        copied = replace(self)
        copied.scopes = forked(self.scopes)
        copied.pending = forked(self.pending) if self.pending else {}
        if self.queued:
            copied.queued = forked(self.queued)
        if self.withdrawn:
            copied.withdrawn = [*self.withdrawn]
        if self.unannounced:
            copied.unannounced = [*self.unannounced]
        if self.outbox:
            copied.outbox = [*self.outbox]
        if self.applied:
            copied.applied = forked(self.applied)
        if self.fates:
            copied.fates = forked(self.fates)
        if self.undoing is not None:
            copied.undoing = self.undoing.copy()
        if self.crowded:
            copied.crowded = forked(self.crowded)
        if self.stopping:
            copied.stopping = forked(self.stopping)
        if self.originals:
            copied.originals = forked(self.originals)
        return copied

    def whole(self) -> ExecutionState:
        """A copy that is stored as if its long tables had never been: which pages they have depends on their past."""
        copied = self.copy()
        copied.scopes, copied.pending = whole(copied.scopes), whole(copied.pending)
        for name in copied.__struct_fields__:
            table = getattr(copied, name)
            if type(table) is tables.Layered and not table:
                setattr(copied, name, {})  # which is not stored
        return copied

    def touch(self, address: ScopeId) -> ScopeState:
        """A scope to change. Only for a caller that has copied the state, once. Raises `KeyError`."""
        held = self.scopes[address]
        scope = _opened(held) if isinstance(held, (msgspec.Raw, LongGraph)) else held.copy()
        self.scopes[address] = scope
        return scope

    def look(self, address: ScopeId) -> ScopeState:
        """A scope to look at only. Raises `KeyError`."""
        held = self.scopes[address]
        return _opened(held) if isinstance(held, (msgspec.Raw, LongGraph)) else held

    def all_scopes(self) -> Iterator[tuple[ScopeId, ScopeState]]:
        """All scopes to look at, in the order they began."""
        return ((address, self.look(address)) for address in self.scopes)

    def graph(self, address: ScopeId = TOP_GRAPH) -> GraphState:
        """A graph to look at. Raises `KeyError`."""
        scope = self.look(address)
        assert isinstance(scope, GraphState)
        return scope

    def chart(self, address: ScopeId = TOP_CHART) -> ChartState:
        """A chart to look at. Raises `KeyError`."""
        scope = self.look(address)
        assert isinstance(scope, ChartState)
        return scope

    @property
    def timers(self) -> dict[str, int]:
        """Due times of the timers that may still have an effect, but for those that have fired and are held."""
        return {id: one.due for id, one in self.pending.items() if one.kind is PendingKind.TIMER and not one.held}

    @property
    def held(self) -> int:
        """How many events are held."""
        return self.held_next - self.held_first


def _plain(part: object) -> object:
    """Of a state, what no encoder knows."""
    if type(part) is LongGraph:
        return part.rest
    return part.to_store() if type(part) is Undoables else tables.plain(part)


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_scopes: msgspec.json.Decoder[ScopeState] = msgspec.json.Decoder(ScopeState)


def _opened(stored: msgspec.Raw | LongGraph) -> ScopeState:
    return stored.opened(_scopes) if isinstance(stored, LongGraph) else _scopes.decode(stored)


def encode_state(state: ExecutionState) -> bytes:
    """The stored form; `codec.decode_state` reads it."""
    if type(state.scopes) is not dict or len(state.scopes) >= LONG_ENTRIES:
        state.scopes = storable(state.scopes)
    if type(state.pending) is not dict or len(state.pending) >= LONG_ENTRIES:
        state.pending = storable(state.pending)
    top = state.scopes.get(TOP_GRAPH)
    if isinstance(top, LongGraph):
        return joined(_encoded(state), top.marks)
    if not isinstance(top, GraphState) or len(top.marks) < LONG_NODES:
        return _encoded(state)
    marks, top.marks = top.marks, _NO_MARKS
    try:
        return joined(_encoded(state), marks)
    finally:
        top.marks = marks


_NO_MARKS = bytearray()
"""Of a graph whose marks stand apart."""


def _encoded(state: ExecutionState) -> bytes:
    if not state.newer:
        return _encoder.encode(state)
    data = _encoder.encode(replace(state, newer={}))
    newer = b"".join(b"," + _encoder.encode(name) + b":" + value for name, value in state.newer.items())
    return data[:-1] + newer + b"}"
