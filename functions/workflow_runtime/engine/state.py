"""The engine's memory of one execution: what is needed to decide, nothing more.

Outputs live with the node runs, the input in its own item, transitions in the journal. A state is changed only by
`advance`, on a copy; ``encode_state``/``decode_state`` are its stored form.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus, NodeStatus
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import GraphBlock, Json

STATE_SCHEMA = 1
"""Number of this layout; rows of older deployments stay readable, a newer one is refused."""


class Mark(IntEnum):
    """A node's status in one byte: a letter, so that stored states can be read."""

    WAITING = ord("w")
    QUEUED = ord("q")  # ready, but not ordered yet
    READY = ord("r")  # ordered from a worker pool
    SUCCESS = ord("s")
    FAILED = ord("f")
    SKIPPED = ord("k")
    PASSED_OVER = ord("p")  # skipped by its `when` with `on_skip: continue`: edges alive, output null
    CANCELLED = ord("c")


STATUS_OF_MARK: dict[int, NodeStatus] = {
    Mark.WAITING: NodeStatus.WAITING,
    Mark.QUEUED: NodeStatus.READY,
    Mark.READY: NodeStatus.READY,
    Mark.SUCCESS: NodeStatus.SUCCESS,
    Mark.FAILED: NodeStatus.FAILED,
    Mark.SKIPPED: NodeStatus.SKIPPED,
    Mark.PASSED_OVER: NodeStatus.SKIPPED,
    Mark.CANCELLED: NodeStatus.CANCELLED,
}

OPEN_MARKS = (Mark.WAITING, Mark.QUEUED, Mark.READY)
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


class GraphState(msgspec.Struct, omit_defaults=True):
    """A graph scope under way. Everything but ``marks`` is sparse: it has entries for what is open now.

    ``queue``: nodes that are ready but not ordered yet, best priority first. ``in_flight``: how many are ordered and
    open.
    ``serials``: current serial where it is not 1. ``untaken``: edges to waiting nodes that are not alive though their
    source succeeded. ``values``: small decision values kept until their readers have decided. ``values_bytes``: size of
    what a decision will read, by reader. ``branches``: open nodes left in each active branch of a limited parallel, by
    head;
    ``held``: branch heads that wait for a free place. ``withdrawn``, ``unannounced``: nodes whose run is still to be
    cancelled, or whose end is still to be published, because one commit's commands are bounded.
    """

    marks: bytearray
    open_count: int
    joins: dict[int, Progress] = {}
    queue: list[int] = []
    in_flight: int = 0
    serials: dict[int, int] = {}
    untaken: dict[int, bool] = {}
    values: dict[int, Json] = {}
    values_bytes: dict[int, int] = {}
    branches: dict[int, int] = {}
    held: list[int] = []
    withdrawn: list[int] = []
    unannounced: list[int] = []
    tolerated: list[ToleratedError] = []
    failure: ErrorDocument | None = None
    succeeded_by: int = -1

    def copy(self) -> GraphState:
        """An independent state: containers are copied, the values in them are immutable."""
        return GraphState(
            self.marks[:],
            self.open_count,
            self.joins.copy(),
            self.queue[:],
            self.in_flight,
            self.serials.copy(),
            self.untaken.copy(),
            self.values.copy(),
            self.values_bytes.copy(),
            self.branches.copy(),
            self.held[:],
            self.withdrawn[:],
            self.unannounced[:],
            self.tolerated[:],
            self.failure,
            self.succeeded_by,
        )

    def serial(self, node: int) -> int:
        return self.serials.get(node, 1)


class ExecutionState(msgspec.Struct, omit_defaults=True):
    """An execution at ``version`` commits. Times are epoch ms. ``globals``: the parts of input, variables and env that
    decisions read, once they were fetched and if they are small."""

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

    def copy(self) -> ExecutionState:
        return ExecutionState(
            self.execution_id,
            self.plan_hash,
            self.workflow_version,
            self.root.copy(),
            self.schema,
            self.version,
            self.status,
            self.now,
            self.started_at,
            self.ended_at,
            self.error,
            self.globals,
            self.collecting,
        )


def initial_graph_state(block: GraphBlock) -> GraphState:
    """A scope none of whose nodes has been looked at."""
    return GraphState(bytearray([Mark.WAITING]) * len(block.nodes), len(block.nodes))


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
