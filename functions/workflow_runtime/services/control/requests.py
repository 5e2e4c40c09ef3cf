"""Requests about an execution as a whole: checked against it, then mailed to its mailbox like any other news.

What is read here may be older than the request's turn, so the engine has the last word: a request that comes too late
is ignored there, and the history says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine.events import CancelRequested, Event, RetryRequested, SkipRequested
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.requests import cannot_retry, cannot_skip
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import RequestError, storable_text
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.executions import KeptAnswer
from workflow_runtime.storage.payloads import is_large, pack_bytes
from workflow_runtime.storage.records import Header
from workflow_runtime.storage.stores import Stores

REASON_CHARS_MAX = 1_000
KEY_CHARS_MAX = 255
VALUE_BYTES_MAX = 10 * 1024 * 1024  # of variables, or an output: as of an execution's input
KEPT_MS = 24 * 3600 * 1000  # how long a key gives the same answer
NO_CHANGE = "no change"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks of an execution.

    - ``operation``: one of `OPERATIONS`
    - ``reason``, ``by``: why, and who asks, for the history
    - ``key``: the same for repeats, which get the first answer for 24 hours
    - ``node``: of a retry, the node at the top from which everything runs again; of a skip, the path of the node
    - ``variables``: of a retry, those to replace
    - ``output``: of a skip, what the node is to have as its output; `msgspec.UNSET`: nothing, it is skipped
    """

    execution_id: str
    operation: str
    reason: str = ""
    key: str | None = None
    by: str = ""
    node: str = ""
    variables: dict[str, Json] = {}
    output: Json = UNSET

    @property
    def value(self) -> Json:
        """What of it may be large."""
        return self.variables if self.output is UNSET else self.output


def body_of(ask: Ask) -> dict[str, Json]:
    """The request as the HTTP API takes it."""
    node = {("from" if ask.operation == "retry" else "node"): ask.node} if ask.node else {}
    variables = {"variables": ask.variables} if ask.variables else {}
    output = {"output": ask.output} if ask.output is not UNSET else {}
    return {"reason": ask.reason, **node, **variables, **output}


class Asked(msgspec.Struct, frozen=True):
    """A request that was answered. ``changed`` False: the execution was as the request wants it already. ``attempt``:
    which of the execution's it is from then on."""

    execution_id: str
    operation: str
    id: str
    changed: bool
    attempt: int = 1

    def json(self) -> dict[str, Json]:
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


class Situation(msgspec.Struct, frozen=True):
    """An execution as it is when somebody asks something of it; ``state`` None: it has not begun."""

    plan: Plan
    status: ExecutionStatus
    state: ExecutionState | None


Refusal: TypeAlias = str
"""Why a request is refused; `NO_CHANGE`: it is not needed; "" if it has an effect."""


class Operation(msgspec.Struct, frozen=True):
    """``refusal``: what is said when a status does not allow it.

    ``verdicts``: by status, what becomes of the request; a status that is missing refuses it. ``check``: what the
    execution's state has against it. ``event``: what the mailbox is told, with the blob of a large value.
    """

    refusal: str
    verdicts: Mapping[ExecutionStatus, Refusal]
    event: Callable[[Ask, str, int, str | None], Event]
    check: Callable[[Situation, Ask], Refusal] | None = None


def _cancel(ask: Ask, id: str, at: int, _: str | None) -> Event:
    return CancelRequested(id, at, ask.by, ask.reason)


def _retry(ask: Ask, id: str, at: int, blob: str | None) -> Event:
    return RetryRequested(id, at, ask.by, ask.reason, ask.node, {} if blob else ask.variables, blob)


def _skip(ask: Ask, id: str, at: int, blob: str | None) -> Event:
    has_output = ask.output is not UNSET
    output = ask.output if has_output and blob is None else None
    return SkipRequested(id, at, ask.node, ask.by, ask.reason, output, has_output, blob)


def _check_retry(situation: Situation, ask: Ask) -> Refusal:
    if situation.state is None:
        return ""
    return cannot_retry(situation.plan, situation.state, situation.status, ask.node, ask.variables)


def _check_skip(situation: Situation, ask: Ask) -> Refusal:
    if situation.state is None:
        return "it has not begun"
    return cannot_skip(situation.plan, situation.state, situation.status, ask.node)


_S = ExecutionStatus
_ENDS = {_S.COMPLETED: "", _S.FAILED: "", _S.CANCELLED: ""}
OPERATIONS: dict[str, Operation] = {
    "cancel": Operation("it cannot be cancelled", {_S.PENDING: "", _S.RUNNING: "", _S.CANCELLED: NO_CHANGE}, _cancel),
    "retry": Operation("there is nothing to retry", _ENDS, _retry, _check_retry),
    "skip": Operation("no node of it can be skipped", {_S.RUNNING: "", _S.FAILED: ""}, _skip, _check_skip),
}
"""What may be asked (language §7)."""


class Control:
    """``new_id`` gives a fresh identity per call."""

    def __init__(self, ports: Ports, stores: Stores, mailer: Mailer, new_id: Callable[[], str]) -> None:
        self._clock = ports.clock
        self._blobs = ports.blobs
        self._executions = stores.executions
        self._workflows = stores.workflows
        self._mailer = mailer
        self._new_id = new_id

    def ask(self, ask: Ask) -> Asked:
        """Have an execution do what is asked.

        Raises `RequestError`: ``not_found``, ``ended`` (its status, which is an end, does not allow it), ``conflict``
        (nor does what it is now, or the key was used for another request), ``invalid_request``; `RetryableError`.
        """
        ask, value = _checked(ask)
        header = self._executions.header(ask.execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {ask.execution_id!r}")
        asked = self._answered(ask)
        if asked is None:
            changed = self._verdict(header, ask) != NO_CHANGE
            is_reopened = header.status.terminal and changed
            asked = self._answer(ask, changed, header.attempt + is_reopened)
        if asked.changed:  # also when repeated: the first may have died in between, and the engine knows a repeat
            blob = self._stored(ask, value)
            event = OPERATIONS[ask.operation].event(ask, f"control:{asked.id}", self._clock.now(), blob)
            self._mailer.send(ask.execution_id, event)
        return asked

    def cancel(self, execution_id: str, reason: str = "", key: str | None = None, *, by: str = "") -> Asked:
        """End the execution as cancelled. Raises as `ask` does."""
        return self.ask(Ask(execution_id=execution_id, operation="cancel", reason=reason, key=key, by=by))

    def _verdict(self, header: Header, ask: Ask) -> Refusal:
        """`NO_CHANGE`, or "". Raises `RequestError`."""
        operation = OPERATIONS[ask.operation]
        verdict = operation.verdicts.get(header.status)
        if verdict is None:
            code = "ended" if header.status.terminal else "conflict"
            is_ended = "the execution has ended, it is" if header.status.terminal else "the execution is"
            raise RequestError(code, f"{is_ended} {header.status}: {operation.refusal}")
        if verdict or operation.check is None:
            return verdict
        stored = self._executions.load(ask.execution_id)
        plan = self._workflows.plan(header.plan_hash)
        problem = operation.check(Situation(plan, header.status, stored.state if stored is not None else None), ask)
        if problem:
            raise RequestError("conflict", problem)
        return ""

    def _stored(self, ask: Ask, value: bytes) -> str | None:
        """Where a value was put that is too large for a message."""
        packed = pack_bytes(value)
        if not is_large(value, packed):
            return None
        blob = f"executions/{ask.execution_id}/requests/{hashlib.sha256(packed).hexdigest()[:40]}"
        self._blobs.put(blob, packed)
        return blob

    def _answered(self, ask: Ask) -> Asked | None:
        """The answer that the key got before. Raises `RequestError` (``conflict``)."""
        if ask.key is None:
            return None
        kept = self._executions.kept_answer(ask.execution_id, ask.key, self._clock.now())
        return _kept(ask, ask.key, kept) if kept is not None else None

    def _answer(self, ask: Ask, changed: bool, attempt: int) -> Asked:
        if ask.key is None:
            return Asked(ask.execution_id, ask.operation, self._new_id(), changed, attempt)
        now = self._clock.now()
        answer = KeptAnswer(_use(ask), changed, now + KEPT_MS, attempt)
        return _kept(ask, ask.key, self._executions.keep_answer(ask.execution_id, ask.key, answer, now))


def _kept(ask: Ask, key: str, kept: KeptAnswer) -> Asked:
    if kept.operation != _use(ask):
        raise RequestError("conflict", f"the key was used for another request: {kept.operation.partition(' ')[0]}")
    return Asked(ask.execution_id, ask.operation, key, kept.changed, kept.attempt)


def _use(ask: Ask) -> str:
    """What a key is used for: the same request, whatever the reason, and no other may come under it again."""
    if not ask.node and not ask.variables:
        return ask.operation
    fields = [ask.node, ask.value, ask.output is UNSET]
    digest = hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()[:32]
    return f"{ask.operation} {digest}"


def _checked(ask: Ask) -> tuple[Ask, bytes]:
    """The request as it may be stored, and the JSON text of its value. Raises `RequestError` (``invalid_request``)."""
    if ask.operation not in OPERATIONS:
        raise RequestError("invalid_request", f"what is asked is one of {', '.join(OPERATIONS)}")
    if not isinstance(ask.reason, str) or len(ask.reason) > REASON_CHARS_MAX:
        raise RequestError("invalid_request", f"a reason is a text of at most {REASON_CHARS_MAX:,} characters")
    if ask.key is not None and (not isinstance(ask.key, str) or not 0 < len(ask.key) <= KEY_CHARS_MAX):
        raise RequestError("invalid_request", f"a key has 1 to {KEY_CHARS_MAX} characters")
    name = "variables" if ask.output is UNSET else "output"
    try:
        value = msgspec.json.encode(to_json(ask.value, name))
    except NotJson as error:
        raise RequestError("invalid_request", str(error)) from None
    if len(value) > VALUE_BYTES_MAX:
        raise RequestError("invalid_request", f"{name}: {len(value):,} bytes; at most {VALUE_BYTES_MAX:,} are taken")
    return replace(ask, reason=storable_text(ask.reason)), value
