"""The event that an execution begins with, made by the dispatcher when it finds no state."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_runtime.engine.events import ControlEvent, Event, ExecutionStarted
from workflow_runtime.plan.plan import Plan


def start_of(plan: Plan, at: int) -> ExecutionStarted:
    """The start of an execution that is not express, ``at`` (epoch ms): its timeout counts from then, not from when it
    was asked for, which may be long before if it was frozen or waited for a limiter."""
    return ExecutionStarted("start", at, segments=True, awaits_cancelled=bool(plan.undo_blocks), takes_early=True)


def with_start(events: Sequence[Event], start: ExecutionStarted) -> list[Event]:
    """The first events of an execution: one that is cancelled or suspended before its start does nothing at all."""
    requests: list[Event] = [event for event in events if isinstance(event, ControlEvent)]
    return [*requests, start, *(event for event in events if not isinstance(event, ControlEvent))]
