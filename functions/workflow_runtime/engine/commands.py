"""Commands: what the engine orders, in the imperative. Carried out only after the state that ordered them is committed.

A command's id is ``execution:version:index`` (its place in the commit), so carrying it out again is recognised.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.engine.awaited import Answer, CallAnswer
from workflow_runtime.engine.passes import Items, Page, Passes, Portion
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.policies import CallTerms


class Read(msgspec.Struct, frozen=True, array_like=True):
    """A recorded run that a node reads: the node's plan-wide number, and serial.

    ``prefix``: starts the node's path, where it was resolved. None: as in the plan (orders of older deployments).
    """

    node: int
    serial: int
    prefix: str | None = None

    def path(self, plan: Plan) -> str:
        """The path that the run is recorded under."""
        return plan.path(self.node) if self.prefix is None else self.prefix + plan.node(self.node).id


class RunNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="run_node"):
    """Run one attempt of a node in a worker pool.

    - ``reads``: the ended runs its formulas may see, fixed when it became ready (``at``, epoch ms: its ``now``)
    - ``previous``: number of the node that ``${previous}`` means, -1 for none
    - ``statuses``: status by node number, for ``${nodes.x.status}`` and for reads that did not succeed
    - ``names``: what variables of charts and event data were, by name
    - ``states``: what was active
    - ``inputs``: rendered already, as an action's are
    - ``blob``: where names and inputs were stored, if they are large
    - ``succeeded_by``: of outputs, the succeed node that ended the scope
    - ``undoes``: of a compensation, the run that it undoes; its formulas see what that was given and what came of it
    - ``replaced``: the number of the variables that it reads, if others replaced the first (0: none did)
    - ``reopened``: how often the execution had been reopened by then
    - ``caller``: number of the node that called this one, which reads its inputs
    - ``claim_by``: a worker that comes to it later (epoch ms) does not run it any more, time in which the execution is
      suspended left out, of which ``suspended_ms`` lay before the order; 0: it may wait forever
    - ``warnings``: what was noted of the node before
    - ``pages``: where the values of names lie that are stored apart; ``passes``, ``items``: of a loop to put together;
      ``parts``: where what its parts came to is stored
    - ``reads_file``: of a loop, that its items are read from a file, which ``inputs`` names
    - ``followers``: numbers of the nodes that its worker may run in place afterwards, each under the same serial and
      visit; ``reads``, ``statuses``, ``names`` and ``pages`` are then for all of them
    - ``alone``: its worker runs nothing else meanwhile, as an attempt before may have killed its worker's process
    - ``log``: of an agent, how often its visit has begun anew; ``fresh``: of an attempt that failed, whether the next
      one does, unless its retry policy says otherwise; ``answers``: what its calls waited for, by call; ``used``:
      running time of the attempt's runs before (ms)
    """

    path: str
    serial: int
    pool: str
    at: int
    visit: int = 1
    attempt: int = 1
    reads: tuple[Read, ...] = ()
    previous: int = -1
    statuses: dict[int, str] = {}
    names: dict[str, Json] = {}
    states: tuple[str, ...] = ()
    inputs: Json = None
    has_inputs: bool = False
    blob: str | None = None
    succeeded_by: int = -1
    undoes: Read | None = None
    replaced: int = 0
    reopened: int = 0
    caller: int = -1
    claim_by: int = 0
    suspended_ms: int = 0
    warnings: tuple[str, ...] = ()
    pages: dict[str, Page] = {}
    passes: Passes | None = None
    items: Items | None = None
    alone: bool = False
    log: int = 0
    fresh: bool = False
    answers: dict[str, CallAnswer] = {}
    used: int = 0
    parts: tuple[str, ...] = ()
    reads_file: bool = False
    followers: tuple[int, ...] = ()


class RecordNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="record_node"):
    """Record the run of a node that the dispatcher ran itself, which ended ``at`` (epoch ms) and took no time unless it
    ``started_at`` another. ``blob``: where a large output was stored before the commit. ``inputs``, or where they were
    stored: of a node that can be undone."""

    path: str
    serial: int
    at: int
    output: Json = None
    error: ErrorDocument | None = None
    handled: bool = False  # the error was dealt with by a rule of the node
    blob: str | None = None
    started_at: int = 0
    attempt: int = 1
    inputs: Json = None
    inputs_blob: str | None = None
    given: bool = False  # the output was set from outside, not produced by the node
    output_of: Read | None = None  # the run whose output it is, too
    inputs_of: Read | None = None  # the run whose inputs it had, too
    fallback_used: bool = False  # the output is that of its fallback
    fallback_error: ErrorDocument | None = None  # how that failed
    warnings: tuple[str, ...] = ()
    skipped: bool = False  # it did not run, and there is something to say of that
    child: str = ""  # the execution that it started
    passes: Passes | None = None  # of a loop


class CancelRun(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="cancel_run"):
    """Record a run as cancelled. A worker that has claimed it may go on; its result comes too late.

    - ``started_at``: of what the dispatcher ran itself, when it began (epoch ms)
    - ``child``: the execution that it started
    """

    path: str
    serial: int
    started_at: int = 0
    child: str = ""


class StopRun(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="stop_run"):
    """Tell a run that its result is no longer needed. One that has not begun never does, and `RunStopped` comes back; a
    worker that has claimed it lets its code know, and records and reports how it ends. ``closes``: one that has not
    ended by now is recorded as cancelled, and what it has come to comes back."""

    path: str
    serial: int
    closes: bool = False


class PublishEvent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="publish_event"):
    """Publish an event. A lifecycle event's ``detail`` is completed with the execution's identity when it is sent; one
    of the author's (``custom``) is the author's payload, to which identity and ``hops`` are added under
    ``workflow_runtime``; ``machine``: path of the chart that is told with `SendFailed` when the bus refuses it."""

    detail_type: str
    detail: dict[str, Json]
    custom: bool = False
    hops: int = 0
    machine: str = ""


class Log(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="log"):
    """Write a line to the log, at ``level`` debug, info, warning or error."""

    message: str
    level: str = "info"


class StartTimer(msgspec.Struct, frozen=True, tag_field="command", tag="start_timer"):
    """Have `TimerFired` sent to the execution's own mailbox at or soon after ``due`` (epoch ms). ``timer`` is never
    used again."""

    timer: str
    due: int


class CancelTimer(msgspec.Struct, frozen=True, tag_field="command", tag="cancel_timer"):
    """Cancel a timer. If it fires anyway, it has no effect."""

    timer: str
    due: int


class Subscribe(msgspec.Struct, frozen=True, tag_field="command", tag="subscribe"):
    """Have bus events of this name and correlation key, by one trigger, sent to the execution. Carried out before the
    commit.

    ``route``: digest of the trigger; "" in what was committed before subscriptions had one.
    """

    event: str
    key: str
    route: str = ""


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="command", tag="unsubscribe"):
    event: str
    key: str
    route: str = ""


class SendSignal(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="send_signal"):
    """Send an event to another execution (``to``), or to all that wait for it under a ``key``. ``machine``: path of the
    chart that is told with `SendFailed` when there is none."""

    name: str
    id: str
    data: Json = None
    to: str = ""
    key: str | None = None
    blob: str | None = None
    hops: int = 0
    machine: str = ""


class StartChild(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="start_child"):
    """Start an execution of another workflow. ``token`` names this order within the execution; with ``notify``,
    `ChildEnded` comes back when it ends.

    - ``machine``: path of the chart whose action starts it
    - ``node``: path of the node that does; then `ChildEnded` also comes back at once if it cannot be started and,
      without ``notify``, `ChildStarted` if it can
    - ``version``: of the workflow; 0: the latest
    - ``generation``: how many executions there are around the child, if they wait for each other
    - ``reopens``: token of the order that started it before: the same execution is to go on, and report under this
      token
    - ``portion``: it runs passes of a loop of this execution, not another workflow
    - ``call``: it makes a call of an agent of this execution, on these ``terms``, not another workflow (`plan.calls`)
    """

    token: str
    workflow_id: str
    input: Json = None
    blob: str | None = None
    notify: bool = False
    hops: int = 0
    machine: str = ""
    node: str = ""
    version: int = 0
    generation: int = 0
    reopens: str = ""
    portion: Portion | None = None
    call: str = ""
    terms: CallTerms | None = None


class ControlChild(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="control_child"):
    """Pass a request on to an execution that was started by the order of this ``token``. ``operation``: what is asked
    of it; ``reason``: as it was given for this execution."""

    token: str
    workflow_id: str
    operation: str
    reason: str = ""
    suspension: int = 0  # of this execution, by its number, if the request begins or ends one


class CancelChild(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="cancel_child"):
    """A `ControlChild` that cancels, as older deployments stored it."""

    token: str
    workflow_id: str
    reason: str = ""


class HoldEvent(msgspec.Struct, frozen=True, tag_field="command", tag="hold_event"):
    """Keep an event of this commit, by its id, until the execution is resumed. ``number``: its place among the held."""

    number: int
    event_id: str


class OrderAgain(msgspec.Struct, frozen=True, tag_field="command", tag="order_again"):
    """Send the open orders again that no worker has begun: workers begin nothing of a suspended execution."""


class NotifyParent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="notify_parent"):
    """Tell the execution that started this one how it ended; its output is read from the header."""

    execution_id: str
    token: str


class SetStatus(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="set_status"):
    """Write the execution's new status to its header; with the output (or where it was recorded) and error when it
    ended. ``compensation``: completed or failed, when what succeeded has been undone; an output that the header has
    already stays. The ``prefix`` of an ``output_run`` is the whole path of the node whose output it is.
    """

    status: str
    at: int
    output: Json = None
    output_run: Read | None = None
    error: ErrorDocument | None = None
    blob: str | None = None
    compensation: str = ""
    reopened: int = 0  # as which attempt the execution goes on
    replaced: int = 0  # the number of the newest variables that replaced earlier ones
    suspended_ms: int = 0  # for how long the execution has been suspended altogether


class ReplaceVariables(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="replace_variables"):
    """Have other ``variables`` than those of before read by what is ordered from now on. ``attempt``: their number, at
    least that of the execution's attempt; ``before``: the number of those of before, 0 if they came with the start."""

    attempt: int
    variables: dict[str, Json] = {}
    before: int = 0
    blob: str | None = None


class StorePages(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="store_pages"):
    """Store values apart, page by page, before the commit. ``key`` is made of them. ``pages`` are not kept later."""

    key: str
    count: int
    pages: tuple[Json, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Where each page is found."""
        return tuple(f"{self.key}.{number}" for number in range(self.count))


class Continue(msgspec.Struct, frozen=True, tag_field="command", tag="continue"):
    """Poke the execution's own mailbox: nodes are ready beyond what one commit may order."""


class AskApproval(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="ask_approval"):
    """Have people find an approval in their list. ``data``, or where it was stored: what they are shown; ``keep``:
    where it must be stored, as the state says so. ``escalates_at``, ``expires_at``: epoch ms, 0: never. ``kind``: what
    asks, if it is not a node but a call of an agent; ``tool``: which it calls; ``form``, or where it was stored: JSON
    Schema of the data of such a call."""

    approval: int
    path: str
    serial: int
    at: int
    prompt: str = ""
    assignees: tuple[str, ...] = ()
    quorum: int = 1
    data: Json = None
    blob: str | None = None
    keep: str = ""
    escalates_at: int = 0
    expires_at: int = 0
    kind: str = ""
    tool: str = ""
    form: Json = None
    form_blob: str | None = None


class UpdateApproval(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="update_approval"):
    """Show people what became of an approval: an ``answer``, who is asked by now (``assignees``, if that changed), and
    its ``outcome``: approved, rejected, timeout or cancelled; "" while it is open."""

    approval: int
    at: int
    answer: Answer | None = None
    assignees: tuple[str, ...] = ()
    outcome: str = ""


class CloseTask(msgspec.Struct, frozen=True, tag_field="command", tag="close_task"):
    """Let the task token with this hash count no more; ``reason``: why, for who comes with it later."""

    task: str
    at: int
    reason: str


Command: TypeAlias = (
    RunNode
    | RecordNode
    | CancelRun
    | StopRun
    | PublishEvent
    | Log
    | StartTimer
    | CancelTimer
    | Subscribe
    | Unsubscribe
    | SendSignal
    | StartChild
    | ControlChild
    | CancelChild
    | HoldEvent
    | OrderAgain
    | NotifyParent
    | SetStatus
    | ReplaceVariables
    | StorePages
    | Continue
    | AskApproval
    | UpdateApproval
    | CloseTask
)

Deferrable: TypeAlias = StartTimer | CancelTimer | SendSignal | StartChild | ControlChild
"""What may be given by a later commit than the one that decided it, in order: nothing of its own commit builds on it.
Each is a request or several; the others are sent many at a time, or are few."""
