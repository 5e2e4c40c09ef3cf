"""Events: facts about the past that an execution's mailbox receives. Valid once constructed; named in the past tense.

``event_id`` is deterministic, so that a repeat is recognised: ``start``, ``run:<path>#<serial>``, ``cmd:<command id>``.
``at`` is the sender's clock in epoch ms; the engine's own time is the dispatcher's, which never goes back.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import Json


class ExecutionStarted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="execution_started"):
    """The execution's header exists. Made by the dispatcher when it finds no state, never sent."""

    event_id: str
    at: int


class NodeSucceeded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="node_succeeded"):
    """A run ended well; its output is recorded under (path, serial).

    ``values``: the output pruned to what decisions read (the plan's ``decision_paths``), when it is small enough to
    travel (``has_values``); ``values_bytes``: its encoded size in any case.
    """

    event_id: str
    at: int
    path: str
    serial: int
    values: Json = None
    has_values: bool = False
    values_bytes: int = 0


class NodeFailed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="node_failed"):
    """A run ended badly. ``command`` is the order it carried out, so that another attempt can be granted as it was."""

    event_id: str
    at: int
    path: str
    serial: int
    error: ErrorDocument
    command: RunNode


class Poked(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="poked"):
    """Look again: something may be waiting (a new execution, ready nodes beyond a commit's bound)."""

    event_id: str
    at: int


Event: TypeAlias = ExecutionStarted | NodeSucceeded | NodeFailed | Poked


def run_event_id(path: str, serial: int) -> str:
    """The id of the event that reports a run's end; repeats of the report share it."""
    return f"run:{path}#{serial}"
