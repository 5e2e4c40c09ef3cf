"""The actions that states and transitions of a chart take, one struct per kind."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.plan.formulas import Formula


class LogAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="log"):
    message: Formula
    level: str = "info"
    required: bool = True


class PublishAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="publish_event"):
    """Put an event on the bus: ``topic`` is its detail-type."""

    topic: Formula
    payload: Formula | None = None
    required: bool = True


class SetVariableAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="set_variable"):
    name: str
    value: Formula
    required: bool = True


class RaiseAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="raise"):
    """An internal event of this chart."""

    event: Formula
    data: Formula | None = None
    required: bool = True


class SendAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="send"):
    """An external event, perhaps later (``delay``: a duration).

    ``to`` yields an execution id, ``parent``, or the path of a nested machine; ``correlate`` the key of executions that
    wait for the event; with neither it goes to this execution.
    """

    event: Formula
    id: Formula | None = None
    data: Formula | None = None
    delay: Formula | None = None
    to: Formula | None = None
    correlate: Formula | None = None
    required: bool = True


class CancelSendAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="cancel_send"):
    id: Formula
    required: bool = True


class IfAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="if"):
    condition: Formula
    then: tuple[Action, ...] = ()
    otherwise: tuple[Action, ...] = ()
    required: bool = True


class ForEachAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="for_each"):
    """Take ``do`` for every item of a list; ``name`` and ``index`` are what the item and its place are called."""

    items: Formula
    name: str = "item"
    index: str = "index"
    do: tuple[Action, ...] = ()
    required: bool = True


class StartWorkflowAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="start_workflow"):
    """Start an execution that runs independently; ``result_event`` comes back when it ends."""

    workflow_id: Formula
    input: Formula | None = None
    result_event: str = ""
    required: bool = True


class CallAction(msgspec.Struct, frozen=True, omit_defaults=True, tag="call"):
    """Run an agent or tool: ``call`` is an index into the chart's ``calls``. ``inputs`` are fixed when it is taken."""

    call: int
    inputs: Formula | None = None
    required: bool = True


Action: TypeAlias = (
    LogAction
    | PublishAction
    | SetVariableAction
    | RaiseAction
    | SendAction
    | CancelSendAction
    | IfAction
    | ForEachAction
    | StartWorkflowAction
    | CallAction
)
