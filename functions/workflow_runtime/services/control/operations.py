"""What may be asked of an execution as a whole, once, as data (language §7).

Whether an operation is possible in a status stands in `lifecycle.EXECUTION_ROWS` under its event. An operation is added
by its event there and an entry here: routes, answers and keys follow. What may be said
beside the reason are fields of the event.
"""

from __future__ import annotations

import msgspec

from workflow_runtime.engine.events import CancelRequested, ControlEvent, ResumeRequested, SuspendRequested


class Operation(msgspec.Struct, frozen=True):
    """A request about an execution.

    - ``name``: in routes and answers; ``event``: what its mailbox receives
    - ``passive``: the execution "cannot be …"; ``summary``: what it does, for the API's description
    """

    name: str
    event: type[ControlEvent]
    passive: str
    summary: str


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
            "Resume a suspended execution, and those that were suspended with it: what is held is taken in order.",
        ),
    )
}
