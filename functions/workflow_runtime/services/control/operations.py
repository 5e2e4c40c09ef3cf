"""What may be asked of an execution as a whole, once, as data.

Whether an operation is possible in a status stands in `lifecycle.EXECUTION_ROWS` under its event. An operation is added
by its event there and an entry here: routes, answers and keys follow. What may be said beside the reason are fields of
the event. Checks import the engine when they are made: all that describes the API reads this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from workflow_runtime.engine.events import (
    CancelRequested,
    CompensateRequested,
    ControlEvent,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
    SuspendRequested,
)
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan

OWN_FIELDS = ("event_id", "at", "by", "reason", "suspension")  # of such events, that nobody says beside the reason


class Operation(msgspec.Struct, frozen=True):
    """A request about an execution.

    - ``name``: in routes and answers; ``event``: what its mailbox receives
    - ``passive``: the execution "cannot be …"; ``summary``: what it does, for the API's description
    - ``names``: what the API calls the event's fields, where it is something else
    - ``value``: the field that may be large, and is stored apart then, under the event's ``blob``
    - ``check``: why it cannot be done in the state at hand; "" if it can
    """

    name: str
    event: type[ControlEvent]
    passive: str
    summary: str
    names: Mapping[str, str] = {}
    value: str = ""
    check: Callable[[Situation, Mapping[str, Json]], str] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """What may be said beside the reason."""
        return tuple(name for name in self.event.__struct_fields__ if name not in OWN_FIELDS)


class Situation(msgspec.Struct, frozen=True):
    """An execution as it is when something is asked of it."""

    plan: Plan
    status: ExecutionStatus
    state: ExecutionState


def _cannot_retry(situation: Situation, said: Mapping[str, Json]) -> str:
    from workflow_runtime.engine.requests import cannot_retry

    plan, state, status = situation.plan, situation.state, situation.status
    return cannot_retry(plan, state, status, said.get("node", ""), said.get("variables", {}))


def _cannot_skip(situation: Situation, said: Mapping[str, Json]) -> str:
    from workflow_runtime.engine.requests import cannot_skip

    return cannot_skip(situation.plan, situation.state, situation.status, said["node"])


def _cannot_compensate(situation: Situation, _said: Mapping[str, Json]) -> str:
    from workflow_runtime.engine.requests import cannot_compensate

    if situation.status is ExecutionStatus.COMPLETED:  # the engine would, as requests of earlier versions expect it to
        return "it has completed, so there is no failure to undo: what undoes a success is a workflow of its own"
    return cannot_compensate(situation.state)


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            "cancel",
            CancelRequested,
            "cancelled",
            "Cancel an execution, and the executions whose end it awaits: waiting work is dropped, running work is"
            " told, late results are ignored.",
        ),
        Operation(
            "suspend",
            SuspendRequested,
            "suspended",
            "Suspend an execution, and the executions whose end it awaits: nothing starts, what runs in workers ends"
            " and is recorded, and whatever else comes is held in order until it is resumed.",
        ),
        Operation(
            "resume",
            ResumeRequested,
            "resumed",
            "Resume a suspended execution, and those that were suspended with it: what is held is taken in order. A"
            " failure that suspended it takes its course.",
        ),
        Operation(
            "retry",
            RetryRequested,
            "retried",
            "Have an execution that has ended go on: what failed, was cancelled, or was skipped because of that runs"
            " again, and what succeeded is kept. `from` names a node of the graph at the top that runs again with all"
            " after it, also after success. The execution keeps its version, and has its whole `timeout` again."
            " One that a failure has suspended goes on with the node that failed.",
            names={"from": "node"},
            value="variables",
            check=_cannot_retry,
        ),
        Operation(
            "skip",
            SkipRequested,
            "continued without a node",
            "Have an execution go on without a node that waits, or whose failure has suspended or failed it; with an"
            " `output`, as if the node had succeeded.",
            value="output",
            check=_cannot_skip,
        ),
        Operation(
            "compensate",
            CompensateRequested,
            "compensated",
            "Undo what an execution that failed or was cancelled has done and not undone yet, in reverse order; then it"
            " has ended as before. Compensations that failed run again.",
            check=_cannot_compensate,
        ),
    )
}
