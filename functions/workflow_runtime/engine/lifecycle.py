"""Lifecycles as tables: what an event means in each status, for executions and for node runs.

Theory of operation. A row is ``(status, event) -> Row``. A row either moves to a status, or ignores the event with a
reason (late, duplicate and out-of-order events are ordinary: queues deliver at least once), or is missing: then the
event cannot happen to a correct sender, and is refused as `InvalidEvent`. Terminal statuses have no row that leaves
them (promise P9).
"""

from __future__ import annotations

from enum import StrEnum
from typing import get_args

import msgspec

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


class ExecutionStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


class NodeStatus(StrEnum):
    """``running`` and ``retrying`` are told apart from ``ready`` by the run's record, not by the engine."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class ExecutionRow(msgspec.Struct, frozen=True):
    """Move to ``status``; or, with a ``reason``, ignore the event."""

    status: ExecutionStatus | None = None
    reason: str = ""


class NodeRow(msgspec.Struct, frozen=True):
    """The same for a node run."""

    status: NodeStatus | None = None
    reason: str = ""


_ENDED = ExecutionRow(reason="the execution has ended")
_REPEATED = NodeRow(reason="the run's result is known already")
_WITHDRAWN = NodeRow(reason="the run was cancelled before its result came")

EXECUTION_ROWS: dict[tuple[ExecutionStatus, type[Event]], ExecutionRow] = {
    (ExecutionStatus.PENDING, ExecutionStarted): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, ExecutionStarted): ExecutionRow(reason="the execution has started already"),
    (ExecutionStatus.RUNNING, NodeSucceeded): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, NodeFailed): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, Poked): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, SignalReceived): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, TimerFired): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, ChildEnded): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, SendFailed): ExecutionRow(ExecutionStatus.RUNNING),
    **{(status, event): _ENDED for status in _TERMINAL for event in get_args(Event)},
}

NODE_ROWS: dict[tuple[NodeStatus, type[Event]], NodeRow] = {
    (NodeStatus.READY, NodeSucceeded): NodeRow(NodeStatus.SUCCESS),
    (NodeStatus.READY, NodeFailed): NodeRow(NodeStatus.FAILED),
    **{
        (status, event): _REPEATED
        for status in (NodeStatus.SUCCESS, NodeStatus.FAILED)
        for event in (NodeSucceeded, NodeFailed)
    },
    **{(NodeStatus.CANCELLED, event): _WITHDRAWN for event in (NodeSucceeded, NodeFailed)},
}
