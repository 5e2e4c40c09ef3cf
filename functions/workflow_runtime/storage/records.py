"""What services read and write, as values: headers, runs, stored states."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.passes import Passes
from workflow_runtime.engine.state import ExecutionState, Parent
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import Share


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What lists, workers and permission checks read of an execution. Times are epoch ms (0: not yet)."""

    execution_id: str
    workflow_id: str
    workflow_version: int
    plan_hash: str
    status: ExecutionStatus
    started_at: int
    input_hash: str = ""
    ended_at: int = 0
    error: ErrorDocument | None = None
    state_version: int = 0  # the commit that this status is of
    parent: Parent | None = None  # the execution that started it
    hops: int = 0  # how many executions passed on the event that started it
    correlation: str = ""  # given by the caller that started it; see `correlation_id`
    compensation: str = ""  # completed or failed, once what it had done was undone
    attempt: int = 1  # how often it was begun or reopened
    replaced: int = 0  # the number of the newest variables that replaced earlier ones
    suspended_ms: int = 0  # for how long it has been suspended altogether, what goes on left out
    lags_until: int = 0  # until when its mailbox is believed to have more than it can take in time
    tenant: str = ""  # whom it is for
    renewed_at: int = 0  # when all of it was last kept for another retention, or was to be; 0: when it was started
    renewed_to: str = ""  # how far a renewal has come, while one is under way
    shares: dict[str, Share] = {}  # its part in limiters, by their names
    watched_until: int = 0  # somebody wants to know what its agents write
    express: bool = False  # it runs in one invocation, and this is its record, or its place until there is one
    begun: bool = False  # of one that is express: an invocation may have begun, and nothing is recorded yet

    @property
    def correlation_id(self) -> str:
        """What this execution's logs, orders, children and events have in common with what brought it about."""
        return self.correlation or self.execution_id


class Globals(msgspec.Struct, frozen=True):
    """What is fixed when an execution is created and read by its formulas: input, variables, deployment settings."""

    input: Json
    variables: dict[str, Json] = {}
    env: dict[str, str] = {}


class Tags(msgspec.Struct, frozen=True):
    """What is stored with a state and no part of it: the execution's ``correlation_id``, and ``due_since``, from which
    the regular times follow at which it is looked after (epoch ms).
    """

    correlation_id: str
    due_since: int


class StoredState(msgspec.Struct, frozen=True):
    """A state as committed, with the journal entry of its commit. ``published``: its entry is in the journal."""

    state: ExecutionState
    last: JournalEntry
    published: bool
    tags: Tags


class RunStatus(StrEnum):
    """``waiting``: it waits for a limiter. ``released``: its worker could not begin; the next one to meet it takes it
    over. ``skipped``: there was none, but something to say of that. ``yielded``: its code has returned, and somebody
    else completes its task token, or another run follows."""

    WAITING = "waiting"
    RUNNING = "running"
    YIELDED = "yielded"
    RELEASED = "released"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def open(self) -> bool:
        """Whether the run may still end."""
        return self in (RunStatus.WAITING, RunStatus.RUNNING, RunStatus.RELEASED)

    @property
    def unclaimed(self) -> bool:
        """Whether no worker is on it, although it has a record."""
        return self in (RunStatus.WAITING, RunStatus.RELEASED)


STOP = "!stop"  # follows the owner's name while a run is open that was told to stop
LATE_OUTPUT_BYTES_MAX = 4 * 1024  # it is for people; nothing reads it


class LateResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the code of a run came to after the run had ended: cancelled, or given up for lost. ``at``: epoch ms.
    ``output_bytes``: size of the output; one that is too large is not kept.
    """

    status: RunStatus
    at: int
    output: Json = None
    output_bytes: int = 0
    error: ErrorDocument | None = None

    @classmethod
    def of(cls, run: Run) -> LateResult:
        size = len(msgspec.json.encode(run.output))
        output = run.output if size <= LATE_OUTPUT_BYTES_MAX else None
        return cls(run.status, run.ended_at, output, size, run.error)


class Yielded(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run whose code has returned waits for: its task token (by its hash), and how long (ms). Of an agent that
    goes on in another run: what its calls wait for, and how many ``steps`` this one has recorded."""

    task: str = ""
    timeout: int = 0
    heartbeat: int = 0
    waits: tuple[Wait, ...] = ()
    steps: int = 0


class Claim(msgspec.Struct, frozen=True):
    """A run that the worker of another one has begun in place afterwards. It has no record of its own before it ends,
    or its lease is renewed."""

    path: str
    serial: int
    owner: str
    started_at: int
    lease_until: int

    @property
    def run(self) -> Run:
        """The run as if it were recorded."""
        status, lease_until = RunStatus.RUNNING, self.lease_until
        return Run(path=self.path, serial=self.serial, status=status, owner=self.owner, started_at=self.started_at,
                   lease_until=lease_until, in_place=True)  # fmt: skip


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which turns of a session an agent was told: of ``agent``, ``tenant`` and ``id``, those from ``start`` to
    ``turns``, as far as they are from after ``since`` (epoch ms). ``digest``: tells them from others."""

    agent: str
    tenant: str
    id: str
    start: int
    turns: int
    since: int
    digest: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a node: claimed (``running``) or ended. ``lease_until`` and times are epoch ms."""

    path: str
    serial: int
    status: RunStatus
    owner: str
    attempt: int = 1
    started_at: int = 0
    lease_until: int = 0
    ended_at: int = 0
    output: Json = None
    output_blob: str | None = None  # where the output was stored already
    error: ErrorDocument | None = None
    handled: bool = False  # a rule of the node dealt with the error
    given: bool = False  # the output is what somebody gave, not what the node made
    fallback_used: bool = False  # the output is that of its fallback
    fallback_error: ErrorDocument | None = None  # how that failed
    order: RunNode | None = None  # of a failed attempt, so that another one can be ordered as it was
    inputs: Json = None  # of a success that can be undone: what it was given
    inputs_blob: str | None = None  # where those were stored already
    usage: dict[str, Json] | None = None
    asked: Json = None  # of an agent's or tool's: what tells whether another call asks the same
    told: Told | None = None  # of an agent that has a session
    unresolved: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    late: LateResult | None = None  # of code that ran on
    yielded: Yielded | None = None
    passes: Passes | None = None  # of a loop that succeeded
    items: Json = None  # of a loop whose items were read from a file: how many passes, and where the items are stored
    child: str = ""  # the execution that it started
    limiter: str = ""  # that it waits for
    limiter_key: str = ""  # and for which value of its key
    place: str = ""  # in whose line
    next: Claim | None = None  # what its worker has begun in place after it
    in_place: bool = False  # it is only known from the record of the one before

    @classmethod
    def succeeded(
        cls,
        path: str,
        serial: int,
        owner: str,
        at: int,
        *,
        started_at: int = 0,
        output: Json = None,
        output_blob: str | None = None,
        attempt: int = 1,
        inputs: Json = None,
        inputs_blob: str | None = None,
        given: bool = False,
        fallback_used: bool = False,
        warnings: tuple[str, ...] = (),
        child: str = "",
        passes: Passes | None = None,
    ) -> Run:
        """A run that ended ``at``, with the output or where that is stored; it took no time unless it ``started_at``
        another. ``inputs`` likewise.
        """
        fields = {"output": output, "output_blob": output_blob, "attempt": attempt, "given": given}
        fields |= {"inputs": inputs, "inputs_blob": inputs_blob, "fallback_used": fallback_used, "warnings": warnings}
        fields |= {"child": child, "passes": passes}
        return _ended(path, serial, owner, at, RunStatus.SUCCESS, started_at, **fields)

    @classmethod
    def failed(
        cls,
        path: str,
        serial: int,
        owner: str,
        at: int,
        error: ErrorDocument,
        *,
        started_at: int = 0,
        attempt: int = 1,
        handled: bool = False,
        order: RunNode | None = None,
        fallback_error: ErrorDocument | None = None,
        warnings: tuple[str, ...] = (),
        child: str = "",
        inputs: Json = None,
        inputs_blob: str | None = None,
    ) -> Run:
        """A run that failed ``at``."""
        fields = {"error": error, "attempt": attempt, "handled": handled, "order": order}
        fields |= {"fallback_error": fallback_error, "warnings": warnings, "child": child}
        fields |= {"inputs": inputs, "inputs_blob": inputs_blob}
        return _ended(path, serial, owner, at, RunStatus.FAILED, started_at, **fields)

    @classmethod
    def cancelled(cls, path: str, serial: int, owner: str, at: int, *, started_at: int = 0, child: str = "") -> Run:
        """A run that was cancelled ``at``."""
        return _ended(path, serial, owner, at, RunStatus.CANCELLED, started_at, child=child)

    @classmethod
    def skipped(cls, path: str, serial: int, owner: str, warnings: tuple[str, ...]) -> Run:
        """What there is to say of a node that was skipped: it had no attempt, and no time."""
        status = RunStatus.SKIPPED
        return Run(path=path, serial=serial, owner=owner, status=status, attempt=0, warnings=warnings)


def _ended(path: str, serial: int, owner: str, at: int, status: RunStatus, started_at: int, **fields: Any) -> Run:
    return Run(path=path, serial=serial, owner=owner, status=status, started_at=started_at or at, ended_at=at, **fields)
