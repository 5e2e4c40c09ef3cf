"""What people say to approvals: found, checked against the state, and mailed to the execution like any other news.

The state that is read here may be older than the answer's turn, so the engine has the last word: an answer that comes
too late is ignored there, and the history says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import UNSET

from workflow_runtime.engine.awaited import Answer, Approval, Pending, Rules
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.events import ApprovalAnswered, ApprovalDelegated
from workflow_runtime.engine.graph.approvals import (
    Refused,
    cannot_answer,
    cannot_delegate,
    rules_of,
)
from workflow_runtime.engine.graph.asking import NAME_CHARS_MAX
from workflow_runtime.engine.holding import HELD_MAX
from workflow_runtime.engine.identity import approval_id
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.pending import approval_entry
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import RequestError, storable_text
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.intake.starts import INPUT_BYTES_MAX
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.approvals import StoredApproval, parts_of
from workflow_runtime.storage.payloads import pack_bytes, unpack
from workflow_runtime.storage.stores import Stores

COMMENT_CHARS_MAX = 2_000
KEY_CHARS_MAX = 255
DATA_SENT_BYTES_MAX = 1_024  # of an answer: it stays in the state until the approval is decided; more is stored apart

_PAST = {"approved": "was approved", "rejected": "was rejected", "timeout": "has run out of time"}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is on its way, or (``changed`` False) was given before. ``approved`` None: somebody else was
    named (``to``)."""

    approval_id: str
    execution_id: str
    by: str
    approved: bool | None = None
    to: str | None = None
    changed: bool = True

    def json(self) -> dict[str, Json]:
        return {**msgspec.to_builtins(self), "by": self.by or None}


class _Open(msgspec.Struct, frozen=True):
    """An approval that people may answer. ``state`` is its execution's."""

    state: ExecutionState
    rules: Rules
    approval: Approval


class Approvals:
    """``new_id`` gives a fresh identity per call."""

    def __init__(self, ports: Ports, stores: Stores, mailer: Mailer, new_id: Callable[[], str]) -> None:
        self._clock = ports.clock
        self._blobs = ports.blobs
        self._stores = stores
        self._mailer = mailer
        self._new_id = new_id

    def answer(
        self,
        id: str,
        approved: bool,
        *,
        by: str = "",
        asker: str = "",
        data: Json = UNSET,
        comment: str = "",
        key: str | None = None,
    ) -> Said:
        """Approve or reject in the name of ``by``. ``asker``: who sends that, if somebody else; ``data``: what they
        would have in place of what they were shown; ``key``: the same for repeats. The same answer again changes
        nothing.

        Raises `RequestError`: ``not_found``, ``forbidden`` (they are not asked), ``refused`` (it is decided, or their
        second answer), ``invalid_request`` (the data does not match the form), ``too_many``; `RetryableError`.
        """
        execution_id, number = parts_of(id)
        comment = _text(comment, "comment", COMMENT_CHARS_MAX)
        value, blob = self._sent(execution_id, data)
        said = Said(approval_id=id, execution_id=execution_id, by=by, approved=approved)
        event_id = f"approval:{number}:{_checked_key(key) or self._new_id()}"
        event = ApprovalAnswered(
            event_id, self._clock.now(), number, by, approved, comment, value, blob, asker if asker != by else ""
        )
        found = self._find(execution_id, number)
        answers = found.answers if isinstance(found, StoredApproval) else found.approval.answers
        if any(_is_same(answer, event) for answer in answers):
            return msgspec.structs.replace(said, changed=False)
        if isinstance(found, StoredApproval):
            raise RequestError("refused", f"it is too late: the approval {_end_of(found)}")
        _check(cannot_answer(found.rules, found.approval, event, self._read))
        _check_room(found.state)
        self._mailer.send(execution_id, event)
        return said

    def delegate(
        self, id: str, to: str, *, by: str = "", asker: str = "", reason: str = "", key: str | None = None
    ) -> Said:
        """Have ``to`` asked in the place of ``by``. Raises as `answer` does."""
        execution_id, number = parts_of(id)
        to = _text(to, "to", NAME_CHARS_MAX).strip()
        if not to:
            raise RequestError("invalid_request", "`to` must name somebody")
        event_id = f"approval:{number}:{_checked_key(key) or self._new_id()}"
        reason = _text(reason, "reason", COMMENT_CHARS_MAX)
        found = self._find(execution_id, number)
        if isinstance(found, StoredApproval):
            raise RequestError("refused", f"it is too late: the approval {_end_of(found)}")
        event = ApprovalDelegated(event_id, self._clock.now(), number, by, to, reason, asker if asker != by else "")
        _check(cannot_delegate(found.rules, found.approval, event))
        _check_room(found.state)
        self._mailer.send(execution_id, event)
        return Said(approval_id=id, execution_id=execution_id, by=by, to=to)

    def _find(self, execution_id: str, number: int) -> _Open | StoredApproval:
        """What people may answer, or what they could. Raises `RequestError` (``not_found``, ``refused``)."""
        stored = self._stores.executions.load(execution_id)
        if stored is not None:
            plan = self._stores.workflows.plan(stored.state.plan_hash)
            state = current(plan, stored.state)
            entry = state.pending.get(approval_entry(number))
            if entry is not None and entry.approval is not None:
                return _Open(state, _rules_of(plan, state, entry), entry.approval)
        ended = self._stores.approvals.get(execution_id, number)
        if ended is None:
            raise RequestError("not_found", f"there is no approval {approval_id(execution_id, number)!r}")
        if not ended.outcome:  # the commit that ended it has not written that yet
            raise RequestError("refused", "it is too late: the approval was decided, or is not needed any more")
        return ended

    def _sent(self, execution_id: str, data: Json) -> tuple[Json, str | None]:
        """The data as an event holds it: the value, or where it was stored. Raises `RequestError`."""
        if data is UNSET:
            return UNSET, None
        try:
            encoded = msgspec.json.encode(to_json(data, "data"))
        except NotJson as error:
            raise RequestError("invalid_request", str(error)) from None
        if len(encoded) > INPUT_BYTES_MAX:
            message = f"the data has {len(encoded):,} bytes; at most {INPUT_BYTES_MAX:,} are taken"
            raise RequestError("invalid_request", message)
        if len(encoded) <= DATA_SENT_BYTES_MAX:
            return msgspec.json.decode(encoded), None
        packed = pack_bytes(encoded)
        blob = f"executions/{execution_id}/answers/{hashlib.sha256(packed).hexdigest()[:40]}"
        self._blobs.put(blob, packed)
        return UNSET, blob

    def _read(self, blob: str) -> Json:
        return unpack(self._blobs.get(blob))


def speaker(caller: str, by: str | None, speaking_for_others: frozenset[str]) -> str:
    """In whose name a caller of the API answers: their own, or ``by``. Raises `RequestError` (``forbidden``)."""
    if by is None or by == caller:
        return caller
    if caller in speaking_for_others:
        return by
    who = f"{caller} is" if caller else "the caller is unknown, so"
    hint = "not among those whom this deployment lists as speaking for others; leave out `by`"
    raise RequestError("forbidden", f"{who} {hint}")


def _rules_of(plan: Plan, state: ExecutionState, entry: Pending) -> Rules:
    assert entry.approval is not None, "it asks"
    return rules_of(plan.blocks[state.graph(entry.scope).block].nodes[entry.owner].spec, entry.approval)


def _is_same(answer: Answer, event: ApprovalAnswered) -> bool:
    said = (event.by, event.approved, event.comment, event.data, event.blob)
    return (answer.by, answer.approved, answer.comment, answer.data, answer.blob) == said


def _end_of(approval: StoredApproval) -> str:
    past = _PAST.get(approval.outcome, "is not needed any more")
    last = approval.answers[-1].by if approval.answers and approval.outcome in ("approved", "rejected") else ""
    return f"{past}{f' by {last}' if last else ''} at {iso_time(approval.ended_at)}"


def _check(refused: Refused | None) -> None:
    if refused is not None:
        raise RequestError(refused.code, refused.message)


def _check_room(state: ExecutionState) -> None:
    if state.status is ExecutionStatus.SUSPENDED and state.held >= HELD_MAX:
        message = f"the execution is suspended and holds {HELD_MAX:,} events already; resume it first"
        raise RequestError("too_many", message)


def _text(value: str, name: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise RequestError("invalid_request", f"`{name}` is a text of at most {most:,} characters")
    return storable_text(value)


def _checked_key(key: str | None) -> str | None:
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= KEY_CHARS_MAX):
        raise RequestError("invalid_request", f"a key has 1 to {KEY_CHARS_MAX} characters")
    return key
