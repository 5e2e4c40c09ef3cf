"""Every row of the lifecycle of executions is reached by an execution that was brought into its status, and does what
it says; what has no row is refused."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from tests.unit.engine.driver import START, Driver, control, plan_of

from workflow_runtime.engine.commands import HoldEvent, RunNode
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
from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, ExecutionStatus
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import ErrorDocument, InvalidEvent

NODES = [
    {"id": "a", "compensate": {"tool": "undo"}},
    {"id": "b", "dependencies": ["a"]},
    control("w", "wait", duration="1h", dependencies=["a"]),
    control("e", "wait", event="go", dependencies=["a"]),
]
ERROR = ErrorDocument("x", "y", "b")
SAMPLES: tuple[Event, ...] = (
    ExecutionStarted("start", START),
    NodeSucceeded("run:b#1", START, "b", 1),
    NodeFailed("run:b#1", START, "b", 1, ERROR, RunNode("b", 1, "tool", START)),
    NodeYielded("yield:b#1", START, "b", 1, "hash", 1000),
    TaskCompleted("task:hash", START, "b", 1, "hash", {}),
    TaskFailed("task:other", START, "b", 1, "other", ERROR),
    Poked("poke", START),
    SignalReceived("signal:x", START, "go", id="x"),
    TimerFired("timer:t1", START, "t1"),
    ChildEnded("child:x", START, "c1", "x", "completed"),
    ChildStarted("child:s#1:started", START, "s#1", "x"),
    ReopenRequested("control:7", START, "s#2"),
    SendFailed("send:x", START, "", "nobody"),
    CancelRequested("control:1", START),
    SuspendRequested("control:2", START),
    ResumeRequested("control:3", START),
    RunStopped("stop:b#1", START, "b", 1),
    RetryRequested("control:4", START, node="a"),
    SkipRequested("control:5", START, node="w"),
    CompensateRequested("control:6", START),
    ApprovalAnswered("approval:1:x", START, 1, "ann", True),
    ApprovalDelegated("approval:1:y", START, 1, "ann", "bob"),
    EventReturned("held:0", START, 0, SignalReceived("signal:y", START, "go", id="y")),
)


def in_status(status: ExecutionStatus) -> Driver:
    """An execution that was brought into this status."""
    driver = Driver(plan_of(NODES), parent=Parent("p1", "s#1"))
    if status is ExecutionStatus.PENDING:
        return driver
    driver.start()
    driver.succeed("a")
    match status:
        case ExecutionStatus.SUSPENDED:
            driver.take(SuspendRequested("control:s", START))
        case ExecutionStatus.COMPENSATING | ExecutionStatus.CANCELLED:
            driver.take(CancelRequested("control:c", START))
        case ExecutionStatus.FAILED:
            driver.fail("b")
        case ExecutionStatus.COMPLETED:
            driver.succeed("b")
            driver.send("go")
            driver.elapse(3600)
    if status is not ExecutionStatus.COMPENSATING and driver.status == "compensating":
        driver.play()
    assert driver.status == status
    return driver


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(event) for event in SAMPLES} == set(get_args(Event))


@pytest.mark.parametrize(
    ("status", "event"),
    tuple(itertools.product(ExecutionStatus, SAMPLES)),
    ids=lambda each: each.value if isinstance(each, ExecutionStatus) else type(each).__name__,
)
def test_every_row_does_what_it_says(status: ExecutionStatus, event: Event) -> None:
    driver = in_status(status)
    row = EXECUTION_ROWS.get((status, type(event)))
    if row is None:
        with pytest.raises(InvalidEvent):
            driver.take(event)
        return
    decision = driver.take(event)
    if row.status is None:
        assert decision.ignored == ((event.event_id, row.reason),)
        assert decision.state.status == status
    elif row.holds:
        held = [command for command in decision.commands if isinstance(command, HoldEvent)]
        assert bool(held) != bool(decision.ignored)
        assert decision.state.status == status
    else:
        assert not decision.ignored or decision.ignored[0][1] != row.reason or not row.reason
