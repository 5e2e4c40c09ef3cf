"""The engine's memory of one execution: what is needed to decide, nothing more.

Outputs live with the node runs, the input in its own item, transitions in the journal. A state is changed only by
`advance`, on a copy; ``encode_state``/``decode_state`` are its stored form.
"""

from __future__ import annotations

from copy import copy
from enum import IntEnum

import msgspec

from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.lifecycle import ExecutionStatus, NodeStatus
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import GraphBlock

STATE_SCHEMA = 1
"""Number of this layout; rows of older deployments stay readable, a newer one is refused."""


class Mark(IntEnum):
    """A node's status in one byte: a letter, so that stored states can be read."""

    WAITING = ord("w")
    QUEUED = ord("q")  # ready, but not ordered yet
    READY = ord("r")  # ordered from a worker pool
    RUNNING = ord("o")  # a wait, or a chart, under way
    SUCCESS = ord("s")
    FAILED = ord("f")
    SKIPPED = ord("k")
    PASSED_OVER = ord("p")  # skipped by its `when` with `on_skip: continue`: edges alive, output null
    CANCELLED = ord("c")


STATUS_OF_MARK: dict[int, NodeStatus] = {
    Mark.WAITING: NodeStatus.WAITING,
    Mark.QUEUED: NodeStatus.READY,
    Mark.READY: NodeStatus.READY,
    Mark.RUNNING: NodeStatus.RUNNING,
    Mark.SUCCESS: NodeStatus.SUCCESS,
    Mark.FAILED: NodeStatus.FAILED,
    Mark.SKIPPED: NodeStatus.SKIPPED,
    Mark.PASSED_OVER: NodeStatus.SKIPPED,
    Mark.CANCELLED: NodeStatus.CANCELLED,
}

OPEN_MARKS = (Mark.WAITING, Mark.QUEUED, Mark.READY, Mark.RUNNING)
ALIVE_MARKS = (Mark.SUCCESS, Mark.PASSED_OVER)


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far the join of a waiting node has come: edges that decided, of them alive; edges that order."""

    resolved: int = 0
    alive: int = 0
    ordered: int = 0


class ToleratedError(msgspec.Struct, frozen=True, array_like=True):
    """A failure that is only a dead edge so far, because a join downstream can do without it."""

    node: int
    error: ErrorDocument


class Raised(msgspec.Struct, frozen=True, omit_defaults=True):
    """An internal event of a chart. ``runtime``: raised by the runtime, so its data never becomes variables.

    ``state`` and ``delay``: of a delay that has run out, whose it is.
    """

    name: str
    data: Json = None
    runtime: bool = False
    state: int = -1
    delay: int = -1


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A delayed `send` of a chart: what goes out when its timer fires. ``id`` names it for `cancel_send`."""

    name: str
    id: str = ""
    data: Json = None
    to: str = ""
    key: str | None = None


class Running(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wait under way: its ``timer`` (of its time or its timeout), and the correlation ``key`` it listens under."""

    timer: str = ""
    key: str | None = None


class GraphState(msgspec.Struct, omit_defaults=True):
    """A graph scope under way. Everything but ``marks`` is sparse: it has entries for what is open now.

    ``first_serial``: the serial of a node's first run in this visit of the scope; serials never restart within an
    execution. ``queue``: nodes that are ready but not ordered yet, best priority first. ``serials``: current serial
    where it is another. ``untaken``: edges to waiting nodes that are not alive though their source succeeded.
    ``values``: small decision values kept until their readers have decided. ``values_bytes``: size of what a decision
    will read, by reader. ``branches``: open nodes left in each active branch of a limited parallel, by head; ``held``:
    branch heads that wait for a free place. ``waits`` and ``machines``: what runs inside nodes that are `RUNNING`.
    ``called``: error documents that called nodes are told; ``given``: inputs rendered ahead; until they are ordered.
    """

    marks: bytearray
    open_count: int
    first_serial: int = 1
    joins: dict[int, Progress] = {}
    queue: list[int] = []
    serials: dict[int, int] = {}
    untaken: dict[int, bool] = {}
    values: dict[int, Json] = {}
    values_bytes: dict[int, int] = {}
    branches: dict[int, int] = {}
    held: list[int] = []
    tolerated: list[ToleratedError] = []
    failure: ErrorDocument | None = None
    succeeded_by: int = -1
    waits: dict[int, Running] = {}
    machines: dict[int, MachineState] = {}
    next_serials: dict[int, int] = {}
    called: dict[int, ErrorDocument] = {}
    given: dict[int, Json] = {}

    def copy(self) -> GraphState:
        """An independent state: containers are copied, the values in them are immutable."""
        return GraphState(
            self.marks[:],
            self.open_count,
            self.first_serial,
            self.joins.copy(),
            self.queue[:],
            self.serials.copy(),
            self.untaken.copy(),
            self.values.copy(),
            self.values_bytes.copy(),
            self.branches.copy(),
            self.held[:],
            self.tolerated[:],
            self.failure,
            self.succeeded_by,
            self.waits.copy(),
            {node: machine.copy() for node, machine in self.machines.items()},
            self.next_serials.copy(),
            self.called.copy(),
            self.given.copy(),
        )

    def serial(self, node: int) -> int:
        return self.serials.get(node, self.first_serial)


class MachineState(msgspec.Struct, omit_defaults=True):
    """A chart under way. ``configuration``: active states in document order, the chart itself left out.

    ``history``: by history state, what was active. ``internal``: raised events not taken yet. ``deferred``: external
    events that wait for another configuration. ``runs``: graphs under way by block; ``next_serials``: where the serials
    of a block go on when it is visited again. ``delays``: by timer, the state and the number of the delay; ``sends``:
    delayed sends by timer. ``children``: by token, the event that tells of a started execution's end.
    """

    configuration: list[int] = []
    variables: dict[str, Json] = {}
    history: dict[int, list[int]] = {}
    internal: list[Raised] = []
    deferred: list[SignalReceived] = []
    runs: dict[int, GraphState] = {}
    next_serials: dict[int, int] = {}
    delays: dict[str, tuple[int, int]] = {}
    sends: dict[str, Sent] = {}
    children: dict[str, str] = {}
    first_serial: int = 1

    def copy(self) -> MachineState:
        return MachineState(
            self.configuration[:],
            self.variables.copy(),
            self.history.copy(),
            self.internal[:],
            self.deferred[:],
            {block: run.copy() for block, run in self.runs.items()},
            self.next_serials.copy(),
            self.delays.copy(),
            self.sends.copy(),
            self.children.copy(),
            self.first_serial,
        )


class Parent(msgspec.Struct, frozen=True):
    """The execution that started this one, and under which of its tokens; ``notify``: it is told of the end."""

    execution_id: str
    token: str = ""
    notify: bool = False


class ExecutionState(msgspec.Struct, omit_defaults=True):
    """An execution at ``version`` commits: a tree of scopes, with the ``root`` graph and the ``machine`` at the top.

    Times are epoch ms. ``globals``: the parts of input, variables and env that decisions read, once they were fetched
    and if they are small. ``in_flight``: how many nodes are ordered and open. ``withdrawn``, ``unannounced``: runs
    still to be cancelled, and node events still to be published, because one commit's commands are bounded.
    ``timers``: due times of the timers that may still have an effect. ``made``: how many timers, sends and children
    were ever made, for their ids. ``subscriptions``: correlation key by number of the plan's trigger. ``outbox``:
    events that the execution sent itself. ``kept``: events that came before their wait. ``applied``: hashes of the ids
    of signals taken, with their times. ``hops``: of the last event from outside.
    ``unprompted``: macrosteps since anything came from outside, to end circles.
    """

    execution_id: str
    plan_hash: str
    workflow_version: int
    root: GraphState
    schema: int = STATE_SCHEMA
    version: int = 0
    status: ExecutionStatus = ExecutionStatus.PENDING
    now: int = 0
    started_at: int = 0
    ended_at: int = 0
    error: ErrorDocument | None = None
    globals: dict[str, Json] | None = None
    collecting: bool = False  # the output is being put together by a worker
    machine: MachineState | None = None
    in_flight: int = 0
    withdrawn: list[tuple[str, int]] = []
    unannounced: list[tuple[str, str]] = []
    timers: dict[str, int] = {}
    made: int = 0
    subscriptions: dict[int, str] = {}
    outbox: list[SignalReceived] = []
    kept: list[SignalReceived] = []
    applied: dict[str, int] = {}
    hops: int = 0
    unprompted: int = 0
    parent: Parent | None = None

    def copy(self) -> ExecutionState:
        copied = copy(self)
        copied.root = self.root.copy()
        if self.machine is not None:
            copied.machine = self.machine.copy()
        copied.withdrawn = self.withdrawn[:]
        copied.unannounced = self.unannounced[:]
        copied.timers = self.timers.copy()
        copied.subscriptions = self.subscriptions.copy()
        copied.outbox = self.outbox[:]
        copied.kept = self.kept[:]
        copied.applied = self.applied.copy()
        return copied


def initial_graph_state(block: GraphBlock, first_serial: int = 1) -> GraphState:
    """A scope none of whose nodes has been looked at."""
    return GraphState(bytearray([Mark.WAITING]) * len(block.nodes), len(block.nodes) - block.called_count, first_serial)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ExecutionState)


def encode_state(state: ExecutionState) -> bytes:
    return _encoder.encode(state)


def decode_state(data: bytes) -> ExecutionState:
    """Raises `msgspec.ValidationError` for what is no state of this or an older schema."""
    state = _decoder.decode(data)
    if state.schema > STATE_SCHEMA:
        raise msgspec.ValidationError(f"state schema {state.schema} is newer than this runtime's {STATE_SCHEMA}")
    return state
