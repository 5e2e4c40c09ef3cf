"""Events: facts about the past that an execution's mailbox receives. Valid once constructed; named in the past tense.

``event_id`` is deterministic, so that a repeat is recognised: ``start``, ``run:<path>#<serial>``, ``cmd:<command id>``,
``stop:<path>#<serial>``, ``timer:<timer>``, ``child:<execution id>`` (of one that was reopened, ``…:<attempt>``),
``child:<token>:started``, ``child:<token>:refused``, ``signal:<id>``, ``control:<id>``, where the id is the bus event's
or the caller's; ``approval:<number>:<id>``; ``task:<hash>``; ``held:<number>`` of an event that comes back.
``at`` is the sender's clock in epoch ms; the engine's own time is the dispatcher's, which never goes back.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json


class ExecutionStarted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="execution_started"):
    """The execution's header exists. Made by the dispatcher when it finds no state, never sent.

    - ``segments``: workers may run several of its nodes for one order
    - ``awaits_cancelled``: what it cancels while it goes on, and could have to undo, is told to stop and awaited
    - ``takes_early``: what a worker has run in place counts once it is reported, whatever its node still waits for
    """

    event_id: str
    at: int
    segments: bool = False
    awaits_cancelled: bool = False
    takes_early: bool = False


class NodeSucceeded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="node_succeeded"):
    """A run ended well; its output is recorded under (path, serial).

    - ``values``: the output pruned to what decisions read (the plan's ``decision_paths``), when it is small enough to
      travel (``has_values``)
    - ``values_bytes``: its encoded size in any case
    - ``goes_on``: its worker has gone on in place with the next node, and has not reported what that comes to
    """

    event_id: str
    at: int
    path: str
    serial: int
    values: Json = None
    has_values: bool = False
    values_bytes: int = 0
    goes_on: bool = False


class NodeFailed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="node_failed"):
    """A run ended badly. ``command`` is the order it carried out, so that another attempt can be granted as it was.
    ``started_at``: when it began (epoch ms); 0: it never did."""

    event_id: str
    at: int
    path: str
    serial: int
    error: ErrorDocument
    command: RunNode
    started_at: int = 0


class Poked(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="poked"):
    """Look again: something may be waiting (a new execution, ready nodes beyond a commit's bound)."""

    event_id: str
    at: int


SELF = "self"
"""Source of the events that an execution sends itself."""


class SignalReceived(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="signal_received"):
    """An event from outside: through the API, from the bus, or sent by an execution.

    - ``data``, or ``blob``, where large data was stored
    - ``id``: what formulas see as ``event.id`` (the bus event's id or the caller's idempotency key); ``event_id`` is
      made of it
    - ``source``: who sent it
    - ``key``: the correlation key that brought it here; None: it was addressed to this execution
    - ``route``: digest of the trigger that brought it under that key; "" if an execution sent it to all that wait
    - ``to``: path of the nested machine it is for
    - ``hops``: executions that passed it on before
    """

    event_id: str
    at: int
    name: str
    data: Json = None
    blob: str | None = None
    id: str = ""
    source: str = ""
    key: str | None = None
    route: str = ""
    to: str = ""
    hops: int = 0


class TimerFired(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="timer_fired"):
    """A timer of this execution is due; ``at`` is not before its time. ``heard``: of a heartbeat's, when the last one
    came (epoch ms), 0: none has, -1: nobody has looked."""

    event_id: str
    at: int
    timer: str
    heard: int = -1


class RunEnded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="run_ended"):
    """A graph that a chart ran has ended. Made by the engine, never sent: it waits its turn among the events of the
    execution's outbox.

    - ``scope``: address of the chart
    - ``block``: what it ran
    - ``name``: ``done.run.…`` or ``error.run.…``, with ``data``
    """

    scope: str
    block: int
    name: str
    data: Json = None


class ChildEnded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="child_ended"):
    """An execution that this one started has ended. ``token``: as in its `StartChild`. ``execution_id``: ""
    if it could not be started. ``failed_passes``: of one that ran passes of a loop."""

    event_id: str
    at: int
    token: str
    execution_id: str
    status: str
    output: Json = None
    blob: str | None = None
    error: ErrorDocument | None = None
    failed_passes: int = 0


class ChildStarted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="child_started"):
    """An execution that nobody waits for has been started. ``token``: as in its `StartChild`."""

    event_id: str
    at: int
    token: str
    execution_id: str


class SendFailed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="send_failed"):
    """What a chart (``machine``: its path) sent or started has nowhere to go."""

    event_id: str
    at: int
    machine: str
    message: str


class CancelRequested(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="cancel_requested"):
    """Someone asks for the execution to end now. ``by``: who, as far as the API knows; ``reason``: in their words."""

    event_id: str
    at: int
    by: str = ""
    reason: str = ""


class SuspendRequested(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="suspend_requested"):
    """Someone asks for the execution to stand still until it is resumed."""

    event_id: str
    at: int
    by: str = ""
    reason: str = ""


class ResumeRequested(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="resume_requested"):
    """Someone asks for a suspended execution to go on. ``suspension``: only if the request with this event id suspended
    it."""

    event_id: str
    at: int
    by: str = ""
    reason: str = ""
    suspension: str = ""


class ApprovalAnswered(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="approval_answered"):
    """Somebody has answered an approval of this execution, by its number. ``asker``: who sent the answer, if it is for
    somebody else. ``data``, or ``blob``, where it is stored: what they changed in what they were shown."""

    event_id: str
    at: int
    approval: int
    by: str
    approved: bool
    comment: str = ""
    data: Json = msgspec.UNSET
    blob: str | None = None
    asker: str = ""


class NodeYielded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="node_yielded"):
    """The code of a run has returned, and somebody is to complete its task token, whose hash is ``task``.

    ``timeout``, ``heartbeat``: how long that may take at most, and the longest silence (ms; 0: any), from ``at`` on.

    Without a ``task`` it is an agent, of which another run follows once all that it ``waits`` for is in. ``steps``: how
    many new ones this run has recorded.
    """

    event_id: str
    at: int
    path: str
    serial: int
    task: str = ""
    timeout: int = 0
    heartbeat: int = 0
    attempt: int = 1
    started_at: int = 0
    waits: tuple[Wait, ...] = ()
    steps: int = 0


class TaskCompleted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="task_completed"):
    """Somebody has completed the task token of a run: with an ``output`` (or, if large, a ``blob``). ``lost``: the
    worker of that run was lost, so that its token counts as long as the visit is open. ``call``: of an agent, the call
    that the token is of."""

    event_id: str
    at: int
    path: str
    serial: int
    task: str
    output: Json = None
    blob: str | None = None
    lost: bool = False
    by: str = ""
    call: str = ""


class TaskFailed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="task_failed"):
    """Somebody has failed the task token of a run."""

    event_id: str
    at: int
    path: str
    serial: int
    task: str
    error: ErrorDocument
    lost: bool = False
    by: str = ""
    call: str = ""


class ApprovalDelegated(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="approval_delegated"):
    """Someone who was asked has named another person (``to``) who is asked instead."""

    event_id: str
    at: int
    approval: int
    by: str
    to: str
    reason: str = ""
    asker: str = ""


HeldEvent: TypeAlias = (
    SignalReceived
    | TimerFired
    | ChildEnded
    | ChildStarted
    | SendFailed
    | NodeSucceeded
    | NodeFailed
    | ApprovalAnswered
    | ApprovalDelegated
    | TaskCompleted
    | TaskFailed
)


class EventReturned(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="event_returned"):
    """An event that was held while the execution was suspended comes back. Made by the dispatcher, never sent.

    - ``number``: under which it was held
    - ``refused``: why it cannot be taken; it is passed over
    """

    event_id: str
    at: int
    number: int
    held: HeldEvent
    refused: str = ""


class RunStopped(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="run_stopped"):
    """A run that was told to stop had not begun, and never will; or it has not succeeded, and is closed."""

    event_id: str
    at: int
    path: str
    serial: int


class RetryRequested(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="retry_requested"):
    """Someone asks for an execution that has ended to go on: with what failed, was cancelled or was undone and, from
    the node ``node``, with that and all after it. ``variables`` (or, if large, ``blob``) replace those of before."""

    event_id: str
    at: int
    by: str = ""
    reason: str = ""
    node: str = ""
    variables: dict[str, Json] = {}
    blob: str | None = None


class SkipRequested(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="skip_requested"):
    """Someone asks for the execution to go on without the node at the path ``node``: skipped or, with an ``output``
    (or, if large, a ``blob``), as if it had succeeded."""

    event_id: str
    at: int
    by: str = ""
    reason: str = ""
    node: str = ""
    output: Json = msgspec.UNSET
    blob: str | None = None


class ReopenRequested(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="reopen_requested"):
    """The execution that awaits this one goes on, and wants this one to go on, too: what failed or was cancelled in it
    runs again. It is told of the end under another ``token``."""

    event_id: str
    at: int
    token: str
    by: str = ""
    reason: str = ""


class CompensateRequested(
    msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag="compensate_requested"
):
    """Someone asks for an execution that has ended to undo what it has done and not undone yet."""

    event_id: str
    at: int
    by: str = ""
    reason: str = ""


ControlEvent: TypeAlias = (
    CancelRequested | SuspendRequested | ResumeRequested | RetryRequested | SkipRequested | CompensateRequested
)
"""What people ask of an execution as a whole: each has an ``event_id``, ``at``, ``by`` and ``reason``, in this order,
then fields of its own."""

Event: TypeAlias = (
    SendFailed
    | ExecutionStarted
    | NodeSucceeded
    | NodeFailed
    | Poked
    | SignalReceived
    | TimerFired
    | ChildEnded
    | CancelRequested
    | SuspendRequested
    | ResumeRequested
    | RunStopped
    | RetryRequested
    | SkipRequested
    | CompensateRequested
    | EventReturned
    | ChildStarted
    | ReopenRequested
    | NodeYielded
    | TaskCompleted
    | TaskFailed
    | ApprovalAnswered
    | ApprovalDelegated
)


def run_event_id(path: str, serial: int) -> str:
    """The id of the event that reports a run's end; repeats of the report share it."""
    return f"run:{path}#{serial}"
