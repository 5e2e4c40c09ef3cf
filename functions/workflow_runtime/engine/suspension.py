"""Why an execution stands still: the part of a state that `suspending` works on."""

from __future__ import annotations

import msgspec

from workflow_runtime.errors import ErrorDocument


class Suspension(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why and since when an execution stands still.

    - ``id``: event id of the request; ``number``: nothing else of this execution has it
    - ``at`` (epoch ms), ``by``, ``reason``: when, who, why
    - ``unstarted``: the execution had not begun
    - ``timeout_left``: what was left of the execution's timeout (ms); -1: it has none
    """

    id: str
    number: int
    at: int
    by: str = ""
    reason: str = ""
    unstarted: bool = False
    timeout_left: int = -1


class Escalation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A failure that a person decides on: of the node at ``path``. ``began`` False: there was no attempt, because its
    `when` could not be evaluated."""

    path: str
    error: ErrorDocument
    began: bool = True
