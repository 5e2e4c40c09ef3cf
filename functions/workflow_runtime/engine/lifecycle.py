"""Lifecycles as tables: what an event means in each status of an execution, and a change in each mark of a node.

Theory of operation. `EXECUTION_ROWS` are ``(status, event) -> row``. A row either moves to a status (whoever takes the
event may move on from there), or ignores the event with a reason (late, duplicate and out-of-order events are ordinary:
queues deliver at least once), or has it held, or is missing: then the event cannot happen to a correct sender, and is
refused as `InvalidEvent`. Only what people ask for leads out of a terminal status: `RetryRequested`, `SkipRequested`,
`CompensateRequested` and, when it is asked of the parent, `ReopenRequested`.

`RESULT_ROWS` say the same of the results of node runs. What happens to a node inside the engine is a `Change`;
`MARK_ROWS` are ``(mark, change) -> mark``, walked by `GraphScope.change` alone, and here a missing row is a bug of the
engine.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import get_args

import msgspec

from workflow_runtime.engine.events import (
    ApprovalAnswered,
    ApprovalDelegated,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    CompensateRequested,
    Event,
    EventReturned,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    NodeYielded,
    Poked,
    ReopenRequested,
    ResumeRequested,
    RetryRequested,
    RunStopped,
    SendFailed,
    SignalReceived,
    SkipRequested,
    SuspendRequested,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from workflow_runtime.language.enumerations import direct


@direct
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

AT_REST = _TERMINAL | {ExecutionStatus.SUSPENDED}
"""In these an execution decides nothing new."""


@direct
class NodeStatus(StrEnum):
    """Of what a worker runs, ``running`` is told apart from ``ready`` by the run's record, not by the engine."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    COMPENSATED = "compensated"  # it was a success, and has been undone


class ExecutionRow(msgspec.Struct, frozen=True):
    """What an event means in a status: move to ``status``; or, with a ``reason``, ignore the event.

    - ``unchanged``: the execution is as the event, a request, wants it already
    - ``holds``: the event is kept, to be taken when the execution is resumed
    """

    status: ExecutionStatus | None = None
    reason: str = ""
    unchanged: bool = False
    holds: bool = False


@direct
class Mark(IntEnum):
    """A node's status as the engine keeps it, in one byte: a letter, so that stored states can be read."""

    WAITING = ord("w")
    QUEUED = ord("q")  # ready, but not ordered yet
    READY = ord("r")  # ordered from a worker pool
    RUNNING = ord("o")  # a wait, a chart or a sub-workflow under way
    RETRYING = ord("y")  # its last attempt failed, and the next one has its time
    ESCALATED = ord("a")  # it failed, and a person decides what follows
    SUCCESS = ord("s")
    FAILED = ord("f")
    EXCUSED = ord("e")  # failed, with `on_error: continue`: edges alive, output null
    HANDLED = ord("h")  # failed, and a rule dealt with it: edges dead
    SKIPPED = ord("k")
    DROPPED = ord("d")  # skipped, because its scope ended before it could begin
    PASSED_OVER = ord("p")  # skipped by its `when` with `on_skip: continue`: edges alive, output null
    CANCELLED = ord("c")


# What is asked for at every step: Python 3.11 looks members of enumerations up slowly.
SUSPENDED, COMPENSATING = ExecutionStatus.SUSPENDED, ExecutionStatus.COMPENSATING
WAITING, SUCCESS = Mark.WAITING, Mark.SUCCESS
MARKS = {mark.value: mark for mark in Mark}


def _values(*marks: Mark) -> frozenset[int]:
    """Numbers, as a graph keeps them, which are found sooner among numbers than among members."""
    return frozenset(mark.value for mark in marks)


OPEN_MARKS = _values(Mark.WAITING, Mark.QUEUED, Mark.READY, Mark.RUNNING, Mark.RETRYING, Mark.ESCALATED)
ALIVE_MARKS = _values(Mark.SUCCESS, Mark.PASSED_OVER, Mark.EXCUSED)
FAILED_MARKS = _values(Mark.FAILED, Mark.EXCUSED, Mark.HANDLED)
READABLE_MARKS = FAILED_MARKS | _values(Mark.SUCCESS)
"""Of nodes whose run is recorded, and may be read."""

SKIPPED_MARKS = _values(Mark.SKIPPED, Mark.DROPPED, Mark.PASSED_OVER)

STATUS_OF_MARK: dict[int, NodeStatus] = {
    Mark.WAITING: NodeStatus.WAITING,
    Mark.QUEUED: NodeStatus.READY,
    Mark.READY: NodeStatus.READY,
    Mark.RUNNING: NodeStatus.RUNNING,
    Mark.RETRYING: NodeStatus.RETRYING,
    Mark.ESCALATED: NodeStatus.RETRYING,
    Mark.SUCCESS: NodeStatus.SUCCESS,
    Mark.FAILED: NodeStatus.FAILED,
    Mark.EXCUSED: NodeStatus.FAILED,
    Mark.HANDLED: NodeStatus.FAILED,
    Mark.SKIPPED: NodeStatus.SKIPPED,
    Mark.DROPPED: NodeStatus.SKIPPED,
    Mark.PASSED_OVER: NodeStatus.SKIPPED,
    Mark.CANCELLED: NodeStatus.CANCELLED,
}


@direct
class Change(IntEnum):
    """What happens to a node within its scope."""

    ENQUEUE = 1  # its join is satisfied, it is called, or it is time for its next attempt
    ORDER = 2  # from a worker pool, the first time or again
    START = 3  # something begins to go on inside it
    SUCCEED = 4
    FAIL = 5
    SKIP = 6  # it can no longer run, its `when` is false, or someone asked for it to be skipped
    PASS_OVER = 7  # its `when` is false, which its successors do not mind
    CANCEL = 8  # its scope ends, or another branch has won
    RETRY = 9  # an attempt failed, and another one follows
    EXCUSE = 10  # it failed, which its successors do not mind
    HANDLE = 11  # it failed, and a rule dealt with it
    DROP = 12  # its scope ends before it began
    REOPEN = 13  # someone asked for a new visit of a node that has ended
    ESCALATE = 14  # it failed, and a person decides what follows


ENQUEUE, ORDER, SUCCEED = Change.ENQUEUE, Change.ORDER, Change.SUCCEED


MARK_ROWS: dict[tuple[int, Change], Mark] = {
    (Mark.WAITING, Change.ENQUEUE): Mark.QUEUED,
    (Mark.WAITING, Change.FAIL): Mark.FAILED,  # its `when` cannot be evaluated
    (Mark.WAITING, Change.EXCUSE): Mark.EXCUSED,
    (Mark.WAITING, Change.SKIP): Mark.SKIPPED,
    (Mark.WAITING, Change.DROP): Mark.DROPPED,
    (Mark.WAITING, Change.PASS_OVER): Mark.PASSED_OVER,
    (Mark.QUEUED, Change.ORDER): Mark.READY,
    (Mark.QUEUED, Change.START): Mark.RUNNING,
    (Mark.QUEUED, Change.SUCCEED): Mark.SUCCESS,
    (Mark.QUEUED, Change.FAIL): Mark.FAILED,
    (Mark.QUEUED, Change.EXCUSE): Mark.EXCUSED,
    (Mark.QUEUED, Change.RETRY): Mark.RETRYING,
    (Mark.QUEUED, Change.CANCEL): Mark.CANCELLED,
    (Mark.READY, Change.ORDER): Mark.READY,  # another attempt
    (Mark.READY, Change.SUCCEED): Mark.SUCCESS,
    (Mark.READY, Change.FAIL): Mark.FAILED,
    (Mark.READY, Change.EXCUSE): Mark.EXCUSED,
    (Mark.READY, Change.RETRY): Mark.RETRYING,
    (Mark.READY, Change.CANCEL): Mark.CANCELLED,
    (Mark.RUNNING, Change.ORDER): Mark.READY,  # what went on inside it is put together by a worker
    (Mark.RUNNING, Change.ENQUEUE): Mark.QUEUED,  # an agent that has yielded goes on
    (Mark.RUNNING, Change.SUCCEED): Mark.SUCCESS,
    (Mark.RUNNING, Change.FAIL): Mark.FAILED,
    (Mark.RUNNING, Change.EXCUSE): Mark.EXCUSED,
    (Mark.RUNNING, Change.RETRY): Mark.RETRYING,
    (Mark.RUNNING, Change.CANCEL): Mark.CANCELLED,
    (Mark.RETRYING, Change.ENQUEUE): Mark.QUEUED,
    (Mark.RETRYING, Change.CANCEL): Mark.CANCELLED,
    (Mark.WAITING, Change.HANDLE): Mark.HANDLED,
    (Mark.QUEUED, Change.HANDLE): Mark.HANDLED,
    (Mark.READY, Change.HANDLE): Mark.HANDLED,
    (Mark.RUNNING, Change.HANDLE): Mark.HANDLED,
    (Mark.WAITING, Change.ESCALATE): Mark.ESCALATED,
    (Mark.QUEUED, Change.ESCALATE): Mark.ESCALATED,
    (Mark.READY, Change.ESCALATE): Mark.ESCALATED,
    (Mark.RUNNING, Change.ESCALATE): Mark.ESCALATED,
    (Mark.ESCALATED, Change.ENQUEUE): Mark.QUEUED,
    (Mark.ESCALATED, Change.REOPEN): Mark.WAITING,
    (Mark.ESCALATED, Change.SUCCEED): Mark.SUCCESS,
    (Mark.ESCALATED, Change.SKIP): Mark.SKIPPED,
    (Mark.ESCALATED, Change.FAIL): Mark.FAILED,
    (Mark.ESCALATED, Change.CANCEL): Mark.CANCELLED,
    # A fallback runs in its place, or a worker has read what a loop is for.
    (Mark.READY, Change.START): Mark.RUNNING,
    (Mark.RUNNING, Change.START): Mark.RUNNING,
    # What people ask for: an end that is given, and new visits.
    (Mark.WAITING, Change.SUCCEED): Mark.SUCCESS,
    (Mark.RETRYING, Change.SUCCEED): Mark.SUCCESS,
    (Mark.QUEUED, Change.SKIP): Mark.SKIPPED,
    (Mark.RUNNING, Change.SKIP): Mark.SKIPPED,
    (Mark.RETRYING, Change.SKIP): Mark.SKIPPED,
    (Mark.SUCCESS, Change.REOPEN): Mark.WAITING,
    (Mark.FAILED, Change.REOPEN): Mark.WAITING,
    (Mark.EXCUSED, Change.REOPEN): Mark.WAITING,
    (Mark.HANDLED, Change.REOPEN): Mark.WAITING,
    (Mark.SKIPPED, Change.REOPEN): Mark.WAITING,
    (Mark.DROPPED, Change.REOPEN): Mark.WAITING,
    (Mark.PASSED_OVER, Change.REOPEN): Mark.WAITING,
    (Mark.CANCELLED, Change.REOPEN): Mark.WAITING,
}
"""What a change makes of a node. There is no other way from one mark to another; only `Change.REOPEN` leads out of an
end."""

NEXT_MARKS: dict[Change, dict[int, int]] = {
    change: {int(mark): to.value for (mark, of), to in MARK_ROWS.items() if of is change} for change in Change
}
"""The same by change, for whoever asks at every step."""


_RUNS = ExecutionRow(reason="the execution has not ended")
_ENDED = ExecutionRow(reason="the execution has ended")
_HELD = ExecutionRow(ExecutionStatus.SUSPENDED, holds=True)
_NOT_SUSPENDED = ExecutionRow(reason="the execution is not suspended", unchanged=True)
_REPEATED = "the run's result is known already"
_WITHDRAWN = "the run was cancelled before its result came"
_ANSWERS: tuple[type[Event], ...] = (ApprovalAnswered, ApprovalDelegated, TaskCompleted, TaskFailed)
_COMPENSATING = "the execution is being compensated, and ends then"

EXECUTION_ROWS: dict[tuple[ExecutionStatus, type[Event]], ExecutionRow] = {
    (ExecutionStatus.PENDING, ExecutionStarted): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.PENDING, CancelRequested): ExecutionRow(ExecutionStatus.PENDING),
    (ExecutionStatus.PENDING, SuspendRequested): ExecutionRow(ExecutionStatus.PENDING),
    (ExecutionStatus.PENDING, ResumeRequested): _NOT_SUSPENDED,
    (ExecutionStatus.RUNNING, ExecutionStarted): ExecutionRow(reason="the execution has started already"),
    (ExecutionStatus.RUNNING, NodeSucceeded): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, NodeFailed): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, Poked): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, SignalReceived): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, TimerFired): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, ChildEnded): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, SendFailed): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, CancelRequested): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, SuspendRequested): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.RUNNING, ResumeRequested): _NOT_SUSPENDED,
    (ExecutionStatus.RUNNING, EventReturned): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.SUSPENDED, ExecutionStarted): ExecutionRow(
        reason="a suspended execution starts when it is resumed"
    ),
    (ExecutionStatus.SUSPENDED, NodeSucceeded): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.SUSPENDED, NodeFailed): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.SUSPENDED, Poked): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.SUSPENDED, RunStopped): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.SUSPENDED, SignalReceived): _HELD,
    (ExecutionStatus.SUSPENDED, TimerFired): _HELD,
    (ExecutionStatus.SUSPENDED, ChildEnded): _HELD,
    (ExecutionStatus.SUSPENDED, SendFailed): _HELD,
    (ExecutionStatus.SUSPENDED, EventReturned): ExecutionRow(reason="the execution is suspended, so it stays held"),
    (ExecutionStatus.SUSPENDED, CancelRequested): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.SUSPENDED, SuspendRequested): ExecutionRow(reason="the execution is suspended", unchanged=True),
    (ExecutionStatus.SUSPENDED, ResumeRequested): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.RUNNING, RunStopped): ExecutionRow(ExecutionStatus.RUNNING),
    **{(ExecutionStatus.COMPENSATING, event): ExecutionRow(reason=_COMPENSATING) for event in get_args(Event)},
    (ExecutionStatus.COMPENSATING, NodeSucceeded): ExecutionRow(ExecutionStatus.COMPENSATING),
    (ExecutionStatus.COMPENSATING, NodeFailed): ExecutionRow(ExecutionStatus.COMPENSATING),
    (ExecutionStatus.COMPENSATING, Poked): ExecutionRow(ExecutionStatus.COMPENSATING),
    (ExecutionStatus.COMPENSATING, TimerFired): ExecutionRow(ExecutionStatus.COMPENSATING),
    (ExecutionStatus.COMPENSATING, RunStopped): ExecutionRow(ExecutionStatus.COMPENSATING),
    (ExecutionStatus.RUNNING, SkipRequested): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.SUSPENDED, SkipRequested): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.SUSPENDED, RetryRequested): ExecutionRow(ExecutionStatus.SUSPENDED),  # of a node that escalated
    (ExecutionStatus.SUSPENDED, CompensateRequested): _RUNS,
    **{
        (status, event): _RUNS
        for status in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
        for event in (RetryRequested, CompensateRequested)
    },
    (ExecutionStatus.PENDING, SkipRequested): ExecutionRow(reason="the execution has not begun"),
    **{(status, event): _ENDED for status in _TERMINAL for event in get_args(Event)},
    **{(status, RetryRequested): ExecutionRow(ExecutionStatus.RUNNING) for status in _TERMINAL},
    **{(status, CompensateRequested): ExecutionRow(status) for status in _TERMINAL},  # what it has to undo decides
    (ExecutionStatus.FAILED, SkipRequested): ExecutionRow(ExecutionStatus.RUNNING),
    **{(ExecutionStatus.RUNNING, event): ExecutionRow(ExecutionStatus.RUNNING) for event in _ANSWERS},
    **{(ExecutionStatus.SUSPENDED, event): _HELD for event in _ANSWERS},
    (ExecutionStatus.RUNNING, NodeYielded): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.SUSPENDED, NodeYielded): ExecutionRow(ExecutionStatus.SUSPENDED),
    (ExecutionStatus.COMPENSATING, NodeYielded): ExecutionRow(ExecutionStatus.COMPENSATING),
    **{(ExecutionStatus.COMPENSATING, event): ExecutionRow(ExecutionStatus.COMPENSATING) for event in _ANSWERS},
    (ExecutionStatus.CANCELLED, CancelRequested): ExecutionRow(reason=_ENDED.reason, unchanged=True),
    (ExecutionStatus.RUNNING, ChildStarted): ExecutionRow(ExecutionStatus.RUNNING),
    (ExecutionStatus.SUSPENDED, ChildStarted): _HELD,
    (ExecutionStatus.COMPENSATING, ChildEnded): ExecutionRow(ExecutionStatus.COMPENSATING),
    (ExecutionStatus.COMPENSATING, ChildStarted): ExecutionRow(ExecutionStatus.COMPENSATING),
    **{  # its parent may want it to go on at any time; what it is doing decides what that means
        (status, ReopenRequested): ExecutionRow(status)
        for status in ExecutionStatus
        if status is not ExecutionStatus.PENDING  # it is told after it was begun
    },
}

RESULT_ROWS: dict[int, str] = {
    Mark.READY: "",
    Mark.SUCCESS: _REPEATED,
    Mark.FAILED: _REPEATED,
    Mark.EXCUSED: _REPEATED,
    Mark.HANDLED: _REPEATED,
    Mark.ESCALATED: _REPEATED,
    Mark.CANCELLED: _WITHDRAWN,
}
"""What the result of a node's current run means at each mark: ``""`` that it is taken, a reason that it is ignored, no
row that the run was never ordered."""
