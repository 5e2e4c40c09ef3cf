"""What an execution waits for, as its state keeps it; `pending` opens and ends the entries."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.enumerations import direct
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_GRAPH, ScopeId
from workflow_runtime.plan.policies import CallTerms


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A delayed `send` of a chart: what goes out when its timer fires. ``id`` names it for `cancel_send`."""

    name: str
    id: str = ""
    data: Json = None
    to: str = ""
    key: str | None = None


BUDGET_CALL = "budget:"
"""Begins the id of what an agent waits for if that is more of a budget."""


class Child(msgspec.Struct, frozen=True, array_like=True):
    """An execution that a node has started: of which workflow, and the token of the order."""

    workflow_id: str
    order: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody has said to an approval. ``at``: epoch ms. ``data``, or ``blob``, where that is stored: what
    they would have in place of what was shown; of objects, the keys that they change."""

    by: str
    approved: bool
    at: int
    comment: str = ""
    data: Json = msgspec.UNSET
    blob: str | None = None


class Rules(msgspec.Struct, frozen=True, omit_defaults=True):
    """By which rules people answer, as `ApprovalSpec` has them.

    - ``form``, or ``form_blob``, where that is stored: JSON Schema of the data; neither: any data will do
    - ``veto``: whether one rejection rejects; ``second_answer`` of the same person: refuse or replace
    - ``delegate``: whether somebody who is asked may name another
    """

    form: Json = None
    form_blob: str | None = None
    veto: bool = True
    second_answer: str = "refuse"
    delegate: bool = True


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """People who are asked, and what they have said.

    - ``number``: nothing else of this execution has it
    - ``quorum``: how many must approve
    - ``assignees``: who may answer (nobody named: whoever may call the API); ``later``: who else is asked later
    - ``data``, or ``blob``, where that is stored: what they are shown
    - ``prompt``: the beginning of what they are asked, for those who are asked later
    - ``call``: of an agent, if a call of it is what they are asked about; ``rules``: those of it, if it has any
    """

    number: int
    quorum: int = 1
    assignees: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    data: Json = None
    blob: str | None = None
    answers: tuple[Answer, ...] = ()
    prompt: str = ""
    call: str = ""
    rules: Rules | None = None


class Callback(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task token that somebody is to complete: its hash ``task``, and the run that it is bound to. ``heartbeat``: the
    longest silence (ms), 0: any."""

    task: str
    serial: int
    attempt: int = 1
    heartbeat: int = 0


SESSION = "session:"
"""What the ids of waits for a session begin with: it is let go as if it were a task token that is completed."""


class Wait(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call of an agent waits for.

    - ``id``: of the call in its visit, and of what it waits for
    - ``kind``: ``tool``, somebody is to approve it; ``effect``, somebody is to say whether it happened; ``budget``,
      somebody is to say whether its model may cost more; ``guardrail``, somebody is to say whether what did not pass a
      check may be taken; ``callback``, its task token is to be completed;
      ``workflow``, an execution is to end; ``node``, an execution is that makes the call
    - ``target``: the tool, the workflow, the call (`plan.calls`), or whose budget it is
    - ``data``, or ``blob``, where that is stored: what people are shown, or the input of the execution
    - ``prompt``: what people are asked; ``assignees``: who may answer (nobody named: whoever may call the API);
      ``later``: who else is asked after ``escalate_after`` (ms); ``quorum``: how many must approve; ``rules``: by which
      they answer
    - ``terms``: of an execution that makes the call
    - ``task``: hash of the token; ``timeout``, ``heartbeat``: how long it is waited for, and the longest silence (ms)
    """

    id: str
    kind: str
    target: str = ""
    data: Json = None
    blob: str | None = None
    prompt: str = ""
    task: str = ""
    timeout: int = 0
    heartbeat: int = 0
    assignees: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    escalate_after: int = 0
    quorum: int = 1
    rules: Rules | None = None
    terms: CallTerms | None = None


class CallAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of what a call waited for: an ``error``; else a ``value`` (or ``blob``, where that is stored).

    Of people: whether they ``approved``, who (``by``) and in which words; ``value``: what they would have in place of
    what they were shown.
    """

    value: Json = msgspec.UNSET
    blob: str | None = None
    error: ErrorDocument | None = None
    approved: bool | None = None
    by: str = ""
    comment: str = ""


class Yields(msgspec.Struct, frozen=True, omit_defaults=True):
    """An agent in its visit, once a run of it has yielded or failed.

    - ``open``: by call, what is waited for, by its id in the table; ``answers``: by call, what has come
    - ``goes_on``: all is in, and the next run is to be ordered
    - ``serials``: runs that have yielded; ``idle``: the last ones in a row that did nothing new
    - ``used``: running time of the attempt's runs (ms); ``calls``: how many calls were executions
    - ``fresh``: whether the next attempt forgets its steps, if the policy that granted it says so
    """

    open: dict[str, str] = {}
    answers: dict[str, CallAnswer] = {}
    goes_on: bool = False
    serials: int = 0
    idle: int = 0
    used: int = 0
    calls: int = 0
    fresh: bool | None = None

    def for_next_attempt(self, fresh: bool | None) -> Yields:
        """What is left of it when the attempt at hand has failed."""
        return Yields(serials=self.serials, calls=self.calls, fresh=fresh)


@direct
class PendingKind(StrEnum):
    """What an execution waits for."""

    TIMER = "timer"
    CHILD = "child"  # the end of an execution that it started
    EVENT = "event"
    TASK = "task"  # what somebody outside has to do


@direct
class Purpose(StrEnum):
    """What for."""

    DELAY = "delay"  # of a state: its transition is tried
    SEND = "send"  # an event of a chart goes out
    WAIT = "wait"  # of a node: the time, event or execution it waits for
    TIMEOUT = "timeout"  # of a node: how long it waits
    RETRY = "retry"  # of a node: the time of its next attempt
    RESULT = "result"  # of a chart: the event that tells of a child's end
    DEADLINE = "deadline"  # of the execution: how long it may take
    TRIGGER = "trigger"  # of the execution: events of the bus with its correlation key
    STOP = "stop"  # of the execution: how long runs that were told to stop are awaited
    START = "start"  # of a node: that the execution it started is there
    APPROVAL = "approval"  # of a node: what people say
    CALLBACK = "callback"  # of a node: that its task token is completed
    HEARTBEAT = "heartbeat"  # of a node: when the next sign of life must have come
    ESCALATION = "escalation"  # of a node: the time when others are asked, too


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that an execution waits for, and who in it does.

    - ``scope``: address of the scope that waits; ``owner``: the node or state there, -1 for the scope itself
    - ``due``: of a timer, when it fires (epoch ms)
    - ``name``: the event that is listened to, or that a child's end becomes; of an agent, the call that waits
    - ``key``: of an event, the correlation key under which the bus brings it
    - ``number``: of a delay, its place among those of its state; of an event under a key, the plan's trigger that
      brings it
    - ``sent``: what a delayed send sends
    - ``workflow``: of a child; ``order``: token of the order that started it, if it was reopened since
    - ``held``: it has come, and is held while the execution is suspended
    - ``approval``: who is asked, and what was said; ``callback``: which task token is to be completed
    """

    kind: PendingKind
    purpose: Purpose
    scope: ScopeId = TOP_GRAPH
    owner: int = -1
    due: int = 0
    name: str = ""
    key: str | None = None
    number: int = -1
    sent: Sent | None = None
    workflow: str = ""
    held: bool = False
    order: str = ""
    approval: Approval | None = None
    callback: Callback | None = None
