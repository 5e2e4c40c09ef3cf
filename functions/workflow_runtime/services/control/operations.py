"""What may be asked of an execution as a whole, once, as data (language §7).

Whether an operation is possible in a status stands in `lifecycle.EXECUTION_ROWS` under its event. An operation is added
by its event there and an entry here: routes, answers and keys follow. What is asked beside the reason are the event's
own fields.
"""

from __future__ import annotations

import msgspec

from workflow_runtime.engine.events import CancelRequested, ControlEvent

COMMON_FIELDS = ("event_id", "at", "by", "reason")  # of every such event


class Operation(msgspec.Struct, frozen=True):
    """A request about an execution.

    - ``name``: in routes and answers; ``event``: what its mailbox receives
    - ``passive``: the execution "cannot be …"; ``summary``: what it does, for the API's description
    """

    name: str
    event: type[ControlEvent]
    passive: str
    summary: str

    @property
    def fields(self) -> tuple[str, ...]:
        """What may be said beside the reason."""
        return tuple(name for name in self.event.__struct_fields__ if name not in COMMON_FIELDS)


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
    )
}
